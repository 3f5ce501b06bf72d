package rubyhost

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/errors"
	"golang.org/x/sys/unix"
)

// childOutput logs what children print, if [Options].AllOutput says so. All of them
// have the same two pipes in the place of descriptors 1 and 2, so nobody knows whose
// line it is. The process's own descriptors stay as they are: what reports a crash
// writes to them, and may not depend on anybody who reads.
type childOutput struct {
	streams [2]*childStream // standard output, standard error
}

// childStream is one of the pipes. Ruby gives its end to children.
type childStream struct {
	theirs int
	file   *os.File // our end
	fd     int      // of file
	sofar  readSoFar

	log func(line string)

	mu     sync.Mutex // guards the fields below
	line   []byte     // without its end so far
	closed bool
}

// longestChildLine is how much of a line is logged at once, as of the lines of $stdout.
const longestChildLine = 64 << 10

// childLineWait is how long a line may lack its end. Then it is logged without one.
const childLineWait = 500 * time.Millisecond

// openChildOutput makes the pipes. Not before Ruby has booted: what is open then is the
// host's alone, and a forked child closes it.
func (h *Host) openChildOutput() (*childOutput, error) {
	c := &childOutput{}
	log := h.log
	for i, of := range []struct {
		level slog.Level
		from  string
	}{{slog.LevelInfo, "stdout"}, {slog.LevelWarn, "stderr"}} {
		s, err := openChildStream()
		if err != nil {
			c.close(true)
			return nil, errors.Wrap(err, "rubyhost: a pipe for the output of children")
		}
		s.sofar = childrenRead(i)
		s.log = func(line string) { log.LogAttrs(context.Background(), of.level, line, slog.String("from", of.from)) }
		c.streams[i] = s
		go s.follow(h.awaitNotes)
	}
	return c, nil
}

func openChildStream() (*childStream, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(ends[0], true); err != nil { // only our end: the ends have their own flags
		_, _ = unix.Close(ends[0]), unix.Close(ends[1])
		return nil, err
	}
	return &childStream{theirs: ends[1], fd: ends[0], file: os.NewFile(uintptr(ends[0]), "tasker-children")}, nil
}

// follow logs what comes, until the stream is closed. It never ends because of the
// children: this process holds their end, too. What Ruby has logged before comes first.
func (s *childStream) follow(awaitNotes func()) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return
	}
	for {
		err := raw.Read(func(uintptr) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.waiting() > 0
		})
		switch {
		case err == nil:
			s.logWaiting(awaitNotes)
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.endLine()
		default:
			return
		}
		s.await()
	}
}

// await has the next read end in time if there is a line without its end.
func (s *childStream) await() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var until time.Time
	if len(s.line) > 0 {
		until = time.Now().Add(childLineWait)
	}
	_ = s.file.SetReadDeadline(until) // it is a pipe
}

// read logs what is in the pipe, as far as it fits into some. It returns false if there is
// nothing. It is called with mu locked.
func (s *childStream) read(some []byte) bool {
	for {
		s.sofar.begin()
		n, err := unix.Read(s.fd, some)
		s.sofar.end(max(n, 0))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		s.add(some[:max(n, 0)])
		return n > 0
	}
}

// logWaiting logs what is in the pipes now. Children that print on do not keep it. What a
// child has printed thus comes before what its handler prints after it, and before the
// result.
func (c *childOutput) logWaiting(awaitNotes func()) {
	if c == nil {
		return
	}
	for _, s := range c.streams {
		s.logWaiting(awaitNotes)
	}
}

// logUntil logs what was in the pipes when Ruby sent the note with that text.
func (c *childOutput) logUntil(note []byte) {
	if c == nil {
		return
	}
	for i, s := range c.streams {
		if at := 8 * i; len(note) >= at+8 {
			s.logUntil(binary.NativeEndian.Uint64(note[at:]))
		}
	}
}

// logWaiting logs what is in the pipe now. It was printed after what Ruby has logged so
// far, or beside it.
func (s *childStream) logWaiting(awaitNotes func()) {
	s.mu.Lock()
	waiting := s.waiting()
	end := s.sofar.total() + uint64(waiting)
	s.mu.Unlock()
	if waiting > 0 {
		awaitNotes()
		s.logUntil(end)
	}
}

// logUntil logs so many bytes of all that was ever written to the pipe, but no more than are
// there now: a child may print faster than its lines are logged.
func (s *childStream) logUntil(end uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end = min(end, s.sofar.total()+uint64(s.waiting()))
	for !s.closed {
		total := s.sofar.total()
		if total >= end || !s.read(make([]byte, min(end-total, 32<<10))) {
			return
		}
	}
}

// waiting returns how many bytes are in the pipe. It is called with mu locked.
func (s *childStream) waiting() int {
	if s.closed {
		return 0
	}
	n, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// add logs the lines that are complete now.
func (s *childStream) add(some []byte) {
	for len(some) > 0 {
		room := longestChildLine - len(s.line)
		end := bytes.IndexByte(some[:min(room, len(some))], '\n') + 1
		complete := end > 0
		if !complete {
			end = min(room, len(some))
		}
		s.line = append(s.line, some[:end]...)
		some = some[end:]
		switch {
		case complete:
			s.emit(len(s.line))
		case len(s.line) == longestChildLine:
			s.emit(wholeCharacters(s.line))
		}
	}
}

// wholeCharacters returns the length without the last character, if that is not whole.
func wholeCharacters(line []byte) int {
	for back := 1; back < utf8.UTFMax; back++ {
		if at := len(line) - back; utf8.RuneStart(line[at]) {
			if !utf8.FullRune(line[at:]) {
				return at
			}
			break
		}
	}
	return len(line)
}

// emit logs the beginning of the line, and keeps the rest.
func (s *childStream) emit(length int) {
	line := strings.ToValidUTF8(string(s.line[:length]), string(utf8.RuneError))
	s.line = append(s.line[:0], s.line[length:]...)
	if line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"); line != "" {
		s.log(line)
	}
}

// endLine logs a line without its end.
func (s *childStream) endLine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(len(s.line))
}

// flush logs what is in the pipes now, also a line without its end.
func (c *childOutput) flush(awaitNotes func()) {
	if c == nil {
		return
	}
	c.logWaiting(awaitNotes)
	for _, s := range c.streams {
		s.endLine()
	}
}

// close logs the rest. It waits for no child: one that goes on has nobody to print to.
// Theirs is closed if Ruby is over.
func (c *childOutput) close(theirs bool) {
	if c == nil {
		return
	}
	for _, s := range c.streams {
		if s == nil {
			continue
		}
		s.logWaiting(func() {})
		s.endLine()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		_ = s.file.Close() // nothing was written
		if theirs {
			_ = unix.Close(s.theirs)
		}
	}
}

// catchAllOutput has Ruby give the pipes to children.
func (h *Host) catchAllOutput(options map[string]any) error {
	c, err := h.openChildOutput()
	if err != nil {
		return err
	}
	h.children.Store(c)
	options["children"] = []int{c.streams[0].theirs, c.streams[1].theirs}
	return nil
}

// FlushOutput logs what children have printed so far, with [Options].AllOutput. A line
// whose end has not come is logged without it.
func (h *Host) FlushOutput() { h.children.Load().flush(h.awaitNotes) }

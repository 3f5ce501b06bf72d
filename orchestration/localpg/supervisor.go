package localpg

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
)

// init makes this process a supervisor if it was started as one; see doc.go. It
// never returns then. The main goroutine is on the main thread while init functions
// run.
func init() {
	if len(os.Args) != 3 || os.Args[0] != supervisorName {
		return
	}
	var err error
	switch os.Args[1] {
	case detachStage:
		err = detach()
	case superviseStage:
		err = supervise()
	default:
		err = errors.Newf("unknown stage %q", os.Args[1])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", supervisorName, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// detach is the first stage. It starts the second stage with its own files, and
// ends.
func detach() error {
	child, err := os.StartProcess(self, []string{supervisorName, superviseStage, os.Args[2]}, &os.ProcAttr{
		Dir:   "/",
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, os.NewFile(replyFD, "reply")},
	})
	if err != nil {
		return errors.WithStack(err)
	}
	return errors.WithStack(child.Release())
}

// restartAfter is how long a server must have run to be started again when it dies.
const restartAfter = time.Second

// supervisor keeps one server running while a command has a share in it.
type supervisor struct {
	cluster  cluster
	lock     *lockFile
	reply    *os.File
	stopping chan struct{}
}

// supervise is the second stage: the supervisor's life.
func supervise() error {
	runtime.LockOSThread() // Pdeathsig of the children follows this thread
	syscall.Umask(0o077)
	reply := os.NewFile(replyFD, "reply")
	syscall.CloseOnExec(replyFD)
	var told spec
	if err := json.NewDecoder(os.Stdin).Decode(&told); err != nil {
		return errors.Wrap(err, "read the specification")
	}
	lock, err := openLock(told.place().lock())
	if err != nil {
		return err
	}
	if ok, err := lock.try(supervisorByte, exclusive); !ok || err != nil {
		return errors.CombineErrors(err, errors.New("there is another supervisor"))
	}
	s := &supervisor{lock: lock, reply: reply, stopping: make(chan struct{})}
	s.cluster = cluster{spec: told, place: told.place(), stopping: s.stopping}
	s.watch()
	err = s.serve()
	s.answer(err) // unless it has answered before
	s.cluster.tidy()
	if told.Ephemeral {
		err = errors.CombineErrors(err, told.place().remove())
	}
	return err
}

// watch closes stopping when the last command has left, or when a signal asks this
// process to end.
func (s *supervisor) watch() {
	var once sync.Once
	stop := func() { once.Do(func() { close(s.stopping) }) }
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP)
	go func() { <-signals; stop() }()
	go func() {
		if err := s.lock.wait(clientsByte, exclusive); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", supervisorName, err)
		}
		stop()
	}()
}

// serve runs the server until stopping is closed. It starts the server again if it
// dies.
func (s *supervisor) serve() error {
	if err := s.cluster.initialize(); err != nil {
		return err
	}
	for {
		started := time.Now()
		server, err := s.cluster.start()
		if err != nil {
			return err
		}
		if err := server.awaitReady(s.stopping); err != nil {
			return errors.CombineErrors(err, server.stop())
		}
		s.answer(nil)
		select {
		case <-s.stopping:
			if err := server.stop(); err != nil || s.cluster.spec.PackTo == "" || !server.state().Success() {
				return err
			}
			return s.cluster.pack()
		case <-server.ended:
			if time.Since(started) < restartAfter {
				return errors.Newf("the server ended by itself: %v", server.state())
			}
			fmt.Fprintf(os.Stderr, "%s: the server ended (%v); starting it again\n", supervisorName, server.state())
		}
	}
}

// answer reports the result of the start to the command that waits for it. Only the
// first answer counts.
func (s *supervisor) answer(err error) {
	if s.reply == nil {
		return
	}
	r := report{Ready: err == nil}
	if err != nil {
		r.Message, r.Hint = err.Error(), errors.FlattenHints(err)
	}
	// Writing fails if the command has left; then there is no reader.
	_ = json.NewEncoder(s.reply).Encode(r)
	_ = s.reply.Close()
	s.reply = nil
}

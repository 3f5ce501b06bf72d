package localpg

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/errors"
)

// HasData reports whether the folder of a database has its data. Before the first start, and
// after one that could not make the data, it has none.
func HasData(dir string) bool {
	_, err := os.Stat(filepath.Join(place{base: dir}.dataDir(), "PG_VERSION"))
	return err == nil
}

// LastFailure returns why the last start in the folder of a database failed, as the log has
// it. It is nil if the log ends with something else.
func LastFailure(dir string) error { return lastFailure(dir, 0) }

// lastFailure looks at the log from an offset on, at most at its last logTail bytes.
func lastFailure(dir string, from int64) error {
	log := strings.TrimSpace(readTail(place{base: dir}.log(), from))
	cause, failed := strings.CutPrefix(log[strings.LastIndexByte(log, '\n')+1:], supervisorName+": ")
	if !failed || cause == errStopped.Error() {
		return nil
	}
	err := errors.Newf("localpg: the last start failed: %s", cause)
	if explained := explain(err, dir); errors.FlattenHints(explained) != "" {
		return explained
	}
	return errors.WithHint(err, errors.FlattenHints(explain(errors.New(complaints(log)), dir)))
}

// Trouble returns why the server does not answer, as its log has it since this command has
// the share. It is nil if the log does not say.
func (s *Server) Trouble() error {
	if err := lastFailure(s.place.base, s.logged); err != nil {
		return err
	}
	for line := range strings.Lines(readTail(s.place.log(), s.logged)) {
		_, cause, grave := strings.Cut(line, "PANIC:")
		if !grave {
			_, cause, grave = strings.Cut(line, "FATAL:")
		}
		if err := explain(errors.Newf("localpg: %s", strings.TrimSpace(cause)), s.place.base); grave && errors.FlattenHints(err) != "" {
			return err
		}
	}
	return nil
}

// logTail is how much of a log is read.
const logTail = 64 << 10

// readTail returns the end of a file, from an offset on; what cannot be read is empty.
func readTail(path string, from int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	size := sizeOfFile(f)
	if from > size { // a new log has begun
		from = 0
	}
	text, _ := io.ReadAll(io.NewSectionReader(f, max(from, size-logTail), logTail))
	return string(text)
}

func sizeOfFile(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

package localpg

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
)

// process is a running postmaster.
type process struct {
	cmd    *exec.Cmd
	place  place
	logged int64         // where in the log its lines begin, in bytes
	ended  chan struct{} // closed when it has ended
}

// state returns how the process ended; nil while it runs.
func (p *process) state() *os.ProcessState { return p.cmd.ProcessState }

// awaitReady waits until the server takes connections. After a crash that may take
// long, so there is no time limit.
func (p *process) awaitReady(stopping <-chan struct{}) error {
	for !p.ready() {
		select {
		case <-stopping:
			return errStopped
		case <-p.ended:
			return explain(errors.Newf("PostgreSQL did not start (%v): %s", p.state(), complaints(p.log())), p.place.base)
		case <-time.After(pollInterval):
		}
	}
	return nil
}

// ready reports whether the server takes connections. It reads the postmaster's
// state file: the first line is the process id, the eighth one is "ready" then.
func (p *process) ready() bool {
	content, err := os.ReadFile(filepath.Join(p.place.dataDir(), "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(content), "\n")
	return len(lines) > 7 && lines[0] == strconv.Itoa(p.cmd.Process.Pid) && strings.TrimSpace(lines[7]) == "ready"
}

// log returns what the server has logged since it was started.
func (p *process) log() string {
	f, err := os.Open(p.place.log())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	const most = 64 << 10
	content, err := io.ReadAll(io.NewSectionReader(f, p.logged, most))
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// How long each signal may take to stop the server before the next one is sent.
const (
	fastTimeout      = 20 * time.Second // the server ends the sessions and writes a checkpoint
	immediateTimeout = 10 * time.Second // the server ends at once
)

// stop stops the server and waits for its end. It sends stronger signals if the
// server does not end in time.
func (p *process) stop() error {
	for _, attempt := range []struct {
		pid    int
		signal syscall.Signal
		wait   time.Duration
	}{
		{p.cmd.Process.Pid, syscall.SIGINT, fastTimeout},
		{p.cmd.Process.Pid, syscall.SIGQUIT, immediateTimeout},
		{-p.cmd.Process.Pid, syscall.SIGKILL, immediateTimeout},
	} {
		select {
		case <-p.ended:
			return nil
		default:
		}
		if err := syscall.Kill(attempt.pid, attempt.signal); err != nil && err != syscall.ESRCH {
			return errors.Wrapf(err, "send the server %v", attempt.signal)
		}
		select {
		case <-p.ended:
			return nil
		case <-time.After(attempt.wait):
		}
	}
	return errors.Newf("the server (process %d) does not end", p.cmd.Process.Pid)
}

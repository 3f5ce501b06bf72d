package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// Program returns the path of a program of the newest PostgreSQL.
func Program(t testing.TB, name string) string {
	t.Helper()
	all := localpg.Installations(t.Context())
	require.NotEmpty(t, all, "%v", localpg.ErrNoBinaries)
	return filepath.Join(all[0].BinDir, name)
}

// command prepares a program as the account.
func command(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	// Variables such as PGHOST would change what the program does.
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account(t)}
	return cmd
}

// Run runs a program until it ends. The test fails if the program does.
func Run(t testing.TB, program string, args ...string) {
	t.Helper()
	output, err := command(t, program, args...).CombinedOutput()
	require.NoError(t, err, "%s %q: %s", program, args, output)
}

// Process is a program that runs.
type Process struct {
	t     testing.TB
	cmd   *exec.Cmd
	log   string
	ended chan struct{}

	stopping atomic.Bool // somebody has told it to end
}

// Start starts a program. What it prints goes to a log in dir. It gets a SIGQUIT when
// the test ends.
func Start(t testing.TB, dir, program string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, log: filepath.Join(dir, filepath.Base(program)+".log"), ended: make(chan struct{})}
	p.cmd = command(t, program, args...)
	p.cmd.SysProcAttr.Setpgid = true // a ^C in the terminal is for the test
	p.cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer func() { _ = log.Close() }() // the program has its own
	p.cmd.Stdout, p.cmd.Stderr = log, log
	started := make(chan error, 1)
	go func() {
		// The kernel sends the death signal when the thread ends that has started the
		// program. This goroutine keeps its thread.
		runtime.LockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // ProcessState has it
		}
	}()
	require.NoError(t, <-started)
	t.Cleanup(func() {
		if p.hasEnded() && !p.stopping.Load() {
			t.Errorf("%s has ended by itself (%v):\n%s", p.cmd.Path, p.cmd.ProcessState, p.Log())
		}
		p.Stop(syscall.SIGQUIT)
	})
	return p
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func (p *Process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// stopTimeout is how long a program may take to end after a signal.
const stopTimeout = 30 * time.Second

// Stop sends a signal that ends the program, and waits for its end. It does nothing
// if the program has ended before.
func (p *Process) Stop(signal syscall.Signal) {
	p.t.Helper()
	p.stopping.Store(true)
	_ = p.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("%s did not end after %v:\n%s", p.cmd.Path, signal, p.Log())
	}
}

// Log returns what the program has printed.
func (p *Process) Log() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// Await waits until ready returns no error. The test fails if the program ends before.
func (p *Process) Await(ready func() error) {
	p.t.Helper()
	const limit, interval = time.Minute, 5 * time.Millisecond
	for deadline := time.Now().Add(limit); ; {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.ended:
			require.Fail(p.t, "the program has ended", "%s (%v):\n%s", p.cmd.Path, p.cmd.ProcessState, p.Log())
		case <-time.After(interval):
			require.True(p.t, time.Now().Before(deadline), "%s is not ready: %v\n%s", p.cmd.Path, err, p.Log())
		}
	}
}

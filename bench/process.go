package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
)

// process is a contender's program, or a server.
type process struct {
	cmd   *exec.Cmd
	log   string
	said  chan string // the lines that it wrote to signalFD
	ended chan struct{}
}

// signalFD is the file descriptor on which our own contenders say "working" and
// "done". signalVariable tells it to them.
const (
	signalFD       = "3"
	signalVariable = "BENCH_FD"
)

// start starts a program, whose output goes to a log in dir. It is killed when this
// process ends.
func start(cmd *exec.Cmd, dir string) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(dir, filepath.Base(cmd.Path)+".log"), said: make(chan string, 8), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	defer func() { _ = log.Close() }() // the program has its own
	signals, signalEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.WithStack(err)
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, signalVariable+"="+signalFD)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{signalEnd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The kernel sends the death signal when the thread ends that has started the
		// program. This goroutine keeps its thread.
		runtime.LockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		_ = signalEnd.Close()
		started <- err
		if err == nil {
			_ = cmd.Wait() // ProcessState has it
		}
	}()
	if err := <-started; err != nil {
		_ = signals.Close()
		return nil, errors.Wrapf(err, "start %s", cmd.Path)
	}
	go p.listen(signals)
	return p, nil
}

func (p *process) listen(signals io.ReadCloser) {
	defer func() { _ = signals.Close() }()
	for lines := bufio.NewScanner(signals); lines.Scan(); {
		p.said <- lines.Text()
	}
}

// await waits until the program says the word.
func (p *process) await(ctx context.Context, word string) error {
	for {
		select {
		case said := <-p.said:
			if said == word {
				return nil
			}
		case <-p.ended:
			// It may have said it with its last breath.
			for {
				select {
				case said := <-p.said:
					if said == word {
						return nil
					}
				case <-time.After(100 * time.Millisecond):
					return p.failure("it ended before it was %s", word)
				}
			}
		case <-ctx.Done():
			return p.failure("it was not %s in time", word)
		}
	}
}

// until waits until the condition holds, which it asks for every interval.
func (p *process) until(ctx context.Context, interval time.Duration, holds func() (bool, error)) error {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-p.ended:
			return p.failure("it ended too early")
		case <-ctx.Done():
			return p.failure("it took too long")
		}
	}
}

// logged says whether the log has a text.
func (p *process) logged(text string) (bool, error) {
	content, err := os.ReadFile(p.log)
	return bytes.Contains(content, []byte(text)), errors.WithStack(err)
}

// failure is an error with the end of the program's log.
func (p *process) failure(format string, args ...any) error {
	const most = 2000
	content, _ := os.ReadFile(p.log)
	err := errors.Wrapf(errors.Newf(format, args...), "%s", filepath.Base(p.cmd.Path))
	return errors.WithHintf(err, "Its output ended with:\n%s", content[max(0, len(content)-most):])
}

// stopTimeout is how long a program may take to end when it is told to.
const stopTimeout = 30 * time.Second

// stop ends the program with SIGTERM, and the processes that it leaves behind.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	var err error
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		err = p.failure("it did not end after SIGTERM")
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
	return err
}

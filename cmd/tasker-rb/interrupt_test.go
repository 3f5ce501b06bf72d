package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const long = `
class Long
  def process(_task, _sequence, _step)
    puts "in the middle"
    sleep
  ensure
    puts "cleaned up"
  end
end
`

const stubborn = `
class Stubborn
  def process(_task, _sequence, _step)
    puts "in the middle"
    sleep
  ensure
    puts "held up"
    sleep
  end
end
`

// interrupt starts a task and waits for its end. In the middle of the step it
// sends the signal to the whole process group, as a terminal does.
func interrupt(p *project, signal syscall.Signal, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	cmd := p.command(append([]string{"run", "long.yaml"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r := p.follow(cmd, func(line string) {
		if line == "only | in the middle" {
			require.NoError(p.t, syscall.Kill(-cmd.Process.Pid, signal))
		}
	})
	require.NotZero(p.t, r.code)
	return r.code, r.stdout, r.stderr
}

func TestInterruptedInTheMiddleOfAStep(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{"long.yaml": one("Long"), "handlers/long.rb": long})
			code, stdout, stderr := interrupt(p, signal)
			require.Equal(t, exitInterrupted, code, stderr)
			requireInOrder(t, stdout, "only | in the middle\n", "only | cleaned up\n", "only  interrupted\n")
			requireInOrder(t, stderr, "error: interrupted\n", "hint: Task 1 keeps the steps it has done; the interrupted attempt does not count. `tasker-rb run --task 1` runs the rest here, "+
				"a `tasker-rb worker` does so in the background, and `tasker-rb tasks cancel 1` ends it.\n")

			ctx := context.Background()
			conn, err := pgx.Connect(ctx, p.url)
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close(ctx)) }()
			var state string
			var attempts, others int
			var claimed bool
			require.NoError(t, conn.QueryRow(ctx, "select state, attempts, claimed_by is not null from tasker.steps").Scan(&state, &attempts, &claimed))
			require.Equal(t, "pending", state)
			require.Zero(t, attempts)
			require.False(t, claimed)
			require.Eventually(t, func() bool {
				const sessions = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
				return conn.QueryRow(ctx, sessions).Scan(&others) == nil && others == 0
			}, patience, 10*time.Millisecond)
		})
	}
}

func TestInterruptedWithThePrivateDatabaseNothingIsLeft(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"long.yaml": one("Long"), "handlers/long.rb": long})
	p.url = ""
	temp := enterable(t)
	require.NoError(t, os.Chmod(temp, 0o777))
	p.env = []string{"TMPDIR=" + temp, "XDG_STATE_HOME=" + filepath.Join(temp, "state")}
	code, _, stderr := interrupt(p, syscall.SIGINT, "--scratch")
	require.Equal(t, exitInterrupted, code, stderr)
	require.Equal(t, "error: interrupted\n", stderr)
	require.Empty(t, processesWith(temp))
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

// processesWith lists the processes whose command line or folder contains the
// path.
func processesWith(path string) []string {
	var found []string
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		line, _ := os.ReadFile(folder + "/cmdline")
		cwd, _ := os.Readlink(folder + "/cwd")
		if strings.Contains(string(line), path) || strings.HasPrefix(cwd, path) {
			found = append(found, folder+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// A second ^C ends the process although the handler goes on.
func TestASecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"long.yaml": one("Stubborn"), "handlers/stubborn.rb": stubborn})
	cmd := p.command("run", "long.yaml")
	r := p.follow(cmd, func(line string) {
		if line == "only | in the middle" || line == "only | held up" {
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		}
	})
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGINT, status.Signal(), "%v", r)
}

// The second ^C comes so soon that nobody has taken the first one yet. So does the third,
// for a command that drains.
func TestASecondInterruptIsNotLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		drains      bool
		sent        []os.Signal
		again       os.Signal
		interrupted bool
	}{
		{false, []os.Signal{syscall.SIGINT, syscall.SIGINT}, syscall.SIGINT, false},
		{false, []os.Signal{syscall.SIGINT, syscall.SIGTERM}, syscall.SIGTERM, false},
		{false, []os.Signal{syscall.SIGTERM}, nil, false},
		{true, []os.Signal{syscall.SIGINT, syscall.SIGTERM}, nil, true},
		{true, []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM}, syscall.SIGTERM, true},
	} {
		s := &signals{received: make(chan os.Signal, 3), over: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), signalsKey{}, s))
		interrupt := make(<-chan struct{})
		if c.drains {
			interrupt, _ = drains(ctx)
		}
		for _, sent := range c.sent {
			s.received <- sent
		}
		require.Equal(t, c.again, s.await(cancel))
		require.Error(t, ctx.Err())
		require.Equal(t, c.interrupted, isClosed(interrupt))
	}
	over := &signals{received: make(chan os.Signal, 3), over: make(chan struct{})}
	close(over.over)
	require.Nil(t, over.await(func() { t.Error("no signal has come") }))
}

// The time of the drain is over: the next signal ends the process.
func TestADrainThatEndsByItselfTakesNoSecondInterrupt(t *testing.T) {
	t.Parallel()
	s := &signals{received: make(chan os.Signal, 3), over: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), signalsKey{}, s))
	interrupt, already := drains(ctx)
	s.received <- syscall.SIGTERM
	ended := make(chan os.Signal)
	go func() { ended <- s.await(cancel) }()
	<-ctx.Done()
	already()
	require.Nil(t, <-ended)
	require.True(t, isClosed(interrupt))
	_, tooLate := drains(ctx)
	tooLate()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

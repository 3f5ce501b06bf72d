package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Nobody ends the input that the command reads: ^C ends the command.
func TestTheFirstInterruptEndsTheReadOfAnInput(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	for _, c := range []struct {
		signal  syscall.Signal
		command string // with FIFO for a named pipe; without it, standard input is open
	}{
		{syscall.SIGINT, "run one.yaml --context -"},
		{syscall.SIGTERM, "submit one.yaml --context -"},
		{syscall.SIGINT, "run --from -"},
		{syscall.SIGINT, "tasks resolve 1 --step only --results -"},
		{syscall.SIGINT, "soak one.yaml --context -"},
		{syscall.SIGINT, "run one.yaml --context @FIFO"},
		{syscall.SIGINT, "run --from FIFO"},
		{syscall.SIGINT, "run FIFO"},
		{syscall.SIGTERM, "templates lint FIFO"},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			fifo := filepath.Join(t.TempDir(), "fifo.yaml")
			require.NoError(t, syscall.Mkfifo(fifo, 0o600))
			cmd := p.command(strings.Fields(strings.ReplaceAll(c.command, "FIFO", fifo))...)
			await := awaitReadOf(t, fifo)
			if strings.HasSuffix(c.command, " -") {
				await = awaitReadOfInput(t, cmd)
			}
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Start())
			await()
			require.NoError(t, cmd.Process.Signal(c.signal))
			_ = cmd.Wait() // ProcessState has it
			require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
			require.Equal(t, "error: interrupted\n", stderr.String())
			require.Empty(t, stdout.String())
		})
	}
	require.Zero(t, p.written())
}

// A folder may hold a pipe into which nobody writes.
func TestAPipeInAFolderIsNoTemplate(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	require.NoError(t, syscall.Mkfifo(filepath.Join(p.dir, "fifo.yaml"), 0o600))
	r := p.run("templates", "lint", ".")
	require.Equal(t, result{0, "1 template, 0 problems\n", ""}, r)
	r = p.run("test")
	require.NotContains(t, r.stderr, "fifo")
	r = p.run("run", "/dev/zero")
	require.Equal(t, result{exitBadInput, "", "error: /dev/zero: this is a device, not a template file\nhint: Name a file.\n"}, r)

	cmd := p.command("templates", "lint", "/dev/stdin") // a pipe that is named, as by <(…)
	cmd.Stdin = strings.NewReader(one("Fine"))
	require.Equal(t, result{0, "1 template, 0 problems\n", ""}, p.finish(cmd))
}

// awaitReadOf returns a function that waits until a process has opened the pipe.
func awaitReadOf(t *testing.T, fifo string) func() {
	return func() {
		require.Eventually(t, func() bool {
			end, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			if err == nil {
				t.Cleanup(func() { require.NoError(t, end.Close()) })
			}
			return err == nil
		}, patience, 5*time.Millisecond)
	}
}

// awaitReadOfInput gives the command a standard input that stays open. The function that it
// returns waits until the command has read what is there.
func awaitReadOfInput(t *testing.T, cmd *exec.Cmd) func() {
	t.Helper()
	in, end, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, in.Close()); require.NoError(t, end.Close()) })
	_, err = end.WriteString(" ")
	require.NoError(t, err)
	cmd.Stdin = in
	return func() {
		require.Eventually(t, func() bool {
			left, err := unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ)
			return err == nil && left == 0
		}, patience, 5*time.Millisecond)
	}
}

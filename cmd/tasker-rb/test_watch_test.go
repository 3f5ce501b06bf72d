package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
)

// tick is the pause between two looks at a condition.
const tick = 5 * time.Millisecond

// watcher follows a command that watches.
type watcher struct {
	*project
	lines chan string // of both its outputs
	cmd   *exec.Cmd
	end   func() int
}

func watch(t *testing.T, p *project, args ...string) *watcher {
	t.Helper()
	return attend(t, p, append([]string{"test", "--watch"}, args...)...)
}

// attend starts a command that goes on until it is interrupted.
func attend(t *testing.T, p *project, args ...string) *watcher {
	t.Helper()
	cmd := p.command(args...)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = write, write
	require.NoError(t, cmd.Start())
	require.NoError(t, write.Close())
	w := &watcher{project: p, cmd: cmd, lines: make(chan string, 1000)}
	go func() {
		defer close(w.lines)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			w.lines <- lines.Text()
		}
	}()
	w.end = func() int {
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		_ = cmd.Wait() // ProcessState has it
		return cmd.ProcessState.ExitCode()
	}
	return w
}

// writeAtOnce writes files so that the command sees all of them in one look, or in looks that
// follow each other: it stands still meanwhile.
func (w *watcher) writeAtOnce(files map[string]string) {
	w.t.Helper()
	daemon.Freeze(w.t, w.cmd.Process)
	w.write(files)
	require.NoError(w.t, w.cmd.Process.Signal(syscall.SIGCONT))
}

// until returns the output up to a line that has this text.
func (w *watcher) until(text string) string {
	w.t.Helper()
	var all strings.Builder
	for line := range w.lines {
		all.WriteString(line + "\n")
		if strings.Contains(line, text) {
			return all.String()
		}
	}
	require.Failf(w.t, "the command ended", "before it said %q:\n%s", text, all.String())
	return ""
}

func TestASuiteIsWatched(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{"spec/other_spec.rb": "RSpec.describe('other') { it('is there') { } }\n"})
	require.NoError(t, os.RemoveAll(filepath.Join(p.dir, "test")))
	w := watch(t, p, "--", "--format", "documentation")
	said := w.until("^C ends")
	require.Contains(t, said, "3 examples, 0 failures")
	require.Contains(t, said, "watching ")

	p.write(map[string]string{"spec/other_spec.rb": "RSpec.describe('other') { it('is another') { raise 'now' } }\n"})
	said = w.until("^C ends")
	require.Contains(t, said, "changed: spec/other_spec.rb; running spec/other_spec.rb\n")
	require.Contains(t, said, "1 example, 1 failure")

	p.write(map[string]string{"handlers/shop/charge.rb": charge + "# changed\n"})
	said = w.until("^C ends")
	require.Contains(t, said, "changed: handlers/shop/charge.rb; running spec/charge_spec.rb\n")
	require.Contains(t, said, "2 examples, 0 failures")

	p.write(map[string]string{"handlers/shop/cards.rb": "module Shop\n  CARDS = 1\nend\n"})
	said = w.until("^C ends")
	require.Contains(t, said, "changed: handlers/shop/cards.rb; running the whole suite\n")
	require.Contains(t, said, "3 examples, 1 failure")

	p.write(map[string]string{"order.yaml": one("Shop::Chrge")})
	said = w.until("^C ends")
	require.Contains(t, said, "changed: order.yaml; running the whole suite\n")
	require.Contains(t, said, "error: order.yaml:3:33: the handler of step only: there is no class Shop::Chrge")

	w.writeAtOnce(map[string]string{"order.yaml": one("Shop::Charge"), "spec/new_spec.rb": "RSpec.describe('new') { it('is there') { } }\n"})
	said = w.until("^C ends")
	require.Contains(t, said, "4 examples, 1 failure")

	require.NoError(t, os.Remove(p.dir+"/spec/other_spec.rb"))
	said = w.until("^C ends")
	require.Contains(t, said, "changed: spec/other_spec.rb; running the whole suite\n")
	require.Contains(t, said, "3 examples, 0 failures")
	require.Equal(t, exitInterrupted, w.end())
}

// ^C in the middle of a suite ends it, as without --watch, and the watch.
func TestAWatchedSuiteIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{"spec/charge_spec.rb": "RSpec.describe('x') { it('waits') { puts 'begun'; $stdout.flush; sleep 0.01 until RSpec.world.wants_to_quit } }\n"})
	w := watch(t, p, "spec")
	w.until("begun")
	require.Equal(t, exitInterrupted, w.end())
	w.until("1 example, 0 failures")
	for line := range w.lines {
		require.NotContains(t, line, "watching")
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (p *project) read(name string) string {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.dir, name))
	require.NoError(p.t, err)
	return string(content)
}

// lockedBuffer is written by a command while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startWorker starts a worker that the test stops.
func startWorker(t *testing.T, p *project, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	worker := p.command(append([]string{"worker", "--handlers", "handlers"}, args...)...)
	out := &lockedBuffer{}
	worker.Stdout, worker.Stderr = out, out
	require.NoError(t, worker.Start())
	return worker, out
}

// worked runs a worker until the condition holds, and stops it.
func worked(t *testing.T, p *project, wanted func() bool) {
	t.Helper()
	worker, out := startWorker(t, p)
	// Before the worker has started, SIGTERM interrupts the command.
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "working on ") && wanted() }, patience, 20*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	require.Contains(t, out.String(), "stopped")
}

// done counts the tasks in a state.
func done(t *testing.T, p *project, state string) int {
	t.Helper()
	return p.count("select count(*) from tasker.tasks where state = '" + state + "'")
}

// After SIGTERM the running step finishes.
func TestWorkerDrains(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"slow.yaml": one("Slow"),
		"handlers/slow.rb": `class Slow < Tasker::StepHandler::Base
  def process(*)
    here = File.join(__dir__, "..")
    File.write(File.join(here, "begun"), "x")
    puts "still at it"
    sleep 0.01 until File.exist?(File.join(here, "finish"))
    { finished: true }
  end
end`,
	})
	require.Zero(t, p.run("submit", "slow.yaml").code)
	worker, out := startWorker(t, p)
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(p.dir, "begun")); return err == nil }, patience, 5*time.Millisecond)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "stopping; running steps have 30s") }, patience, 5*time.Millisecond)
	p.write(map[string]string{"finish": ""})
	require.NoError(t, worker.Wait(), out)
	require.Regexp(t, `INFO  task=1 step=only attempt=1 class=Slow \| still at it\n`, out)
	require.Regexp(t, `INFO  task=1 step=only attempt=1 class=Slow \| step complete duration=.*\n(.*\n)*.* INFO  stopped\n$`, out)
	require.Equal(t, 1, done(t, p, "complete"), out)
}

// The worker prints a line for a cancelled step.
func TestWorkerTellsOfCancels(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"long.yaml": one("Long"), "handlers/long.rb": long})
	require.Zero(t, p.run("submit", "long.yaml").code)
	worker, out := startWorker(t, p)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "in the middle") }, patience, 5*time.Millisecond, out)
	require.Zero(t, p.run("tasks", "cancel", "1").code)
	require.Eventually(t, func() bool {
		return strings.Contains(out.String(), "task=1 step=only attempt=1 class=Long | step cancelled\n")
	}, patience, 5*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	require.NotContains(t, out.String(), "claim was lost")
}

// A worker with --templates takes no task if a handler is missing.
func TestWorkerChecksTemplates(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"config/one.yaml": one("Fine"), "config/two.yaml": one("Gone"), "handlers/fine.rb": fine})
	require.Zero(t, p.run("submit", "config/two.yaml").code)
	requireRefused(t, p.run("worker", "--handlers", "handlers", "--templates", "config"),
		[]string{"config/two.yaml:3:33: the handler of step only: there is no class Gone"}, "handler_class:")
	require.Equal(t, 1, done(t, p, "pending"))
}

// Workers are killed in the middle of tasks. Others take over, and every step has
// exactly one outcome.
func TestWorkerIsKilled(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"chain.yaml": `name: chain
step_templates:
  - {name: a, handler_class: Nap, default_retry_limit: 20}
  - {name: b, handler_class: Nap, default_retry_limit: 20, depends_on_step: a}
`,
		"handlers/nap.rb": "class Nap < Tasker::StepHandler::Base\n  def process(*) = sleep(0.02)\nend\n",
	})
	const tasks = 200
	require.Zero(t, p.run("submit", "chain.yaml", "--count", "200").code)
	for range 3 {
		before := done(t, p, "complete")
		if before == tasks {
			break // the check takes a while on a busy machine
		}
		worker, out := startWorker(t, p)
		require.Eventually(t, func() bool { return done(t, p, "complete") > before }, patience, 5*time.Millisecond, out)
		require.NoError(t, worker.Process.Kill())
		require.Error(t, worker.Wait())
	}
	worked(t, p, func() bool { return done(t, p, "complete") == tasks })
}

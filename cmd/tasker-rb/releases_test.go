package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startRelease starts a worker with the handlers in dir, and waits until it works.
func startRelease(t *testing.T, p *project, dir string, args ...string) (worker *exec.Cmd, out *lockedBuffer) {
	t.Helper()
	worker = p.command(append([]string{"worker", "--handlers", dir}, args...)...)
	out = &lockedBuffer{}
	worker.Stdout, worker.Stderr = out, out
	require.NoError(t, worker.Start())
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "working on ") }, patience, 5*time.Millisecond, out)
	t.Cleanup(func() {
		_ = worker.Process.Signal(syscall.SIGTERM)
		require.NoError(t, worker.Wait(), out)
	})
	return worker, out
}

// An old release, and the worker of another project on the same database, leave the tasks
// of the new release alone, and say why. A worker of the new release does them. A NameError
// in a handler still fails its step.
func TestTwoReleasesAndAnotherProject(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"old/handlers.rb":   fine + "\nclass Typo < Tasker::StepHandler::Base\n  def process(_task, _sequence, _step) = Ship.new\nend\n",
		"new/handlers.rb":   fine + "\nclass Ship < Fine; end\n",
		"other/handlers.rb": "class Other < Tasker::StepHandler::Base\n  def process(_task, _sequence, _step) = nil\nend\n",
		"fine.yaml":         "name: fine\nstep_templates: [{name: only, handler_class: Fine}]\n",
		"ship.yaml":         "name: ship\nstep_templates: [{name: first, handler_class: Fine}, {name: only, handler_class: Ship, depends_on_step: first}]\n",
		"typo.yaml":         "name: typo\nstep_templates: [{name: only, handler_class: Typo, default_retry_limit: 1}]\n",
	})
	startRelease(t, p, "old", "--namespace", "default")
	startRelease(t, p, "other")
	for _, file := range []string{"fine.yaml", "ship.yaml", "typo.yaml"} {
		require.Zero(t, p.run("submit", file, "--count", "20").code)
	}
	require.Eventually(t, func() bool { return done(t, p, "complete") == 20 && done(t, p, "error") == 20 }, patience, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		return strings.Contains(p.run("tasks", "list", "--name", "ship").stdout, "no live worker has Ship")
	},
		patience, 20*time.Millisecond)
	require.Regexp(t, `(?m) Ship$`, p.run("workers").stdout)
	require.Equal(t, 20, p.count("select count(*) from tasker.tasks where name = 'ship' and state = 'pending' and begun_at is null"))
	require.Equal(t, 20, p.count("select count(*) from tasker.attempts where error_class = 'NameError'"))

	startRelease(t, p, "new", "--queue", "default")
	require.Eventually(t, func() bool { return done(t, p, "complete") == 40 }, patience, 20*time.Millisecond)
	require.NotContains(t, p.run("tasks", "list").stdout, "no live worker")
	require.Zero(t, p.count("select count(*) from tasker.steps where attempts <> 1 or losses <> 0"), "no attempt was spent on an absent class")
}

// Tasks of a queue that no worker takes say so.
func TestATaskOfAnotherQueue(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"handlers/fine.rb": fine,
		"bulk.yaml":        "name: bulk\nqueue: bulk\nstep_templates: [{name: only, handler_class: Fine}]\n",
	})
	startRelease(t, p, "handlers", "--queue", "default", "--queue", "mail")
	require.Zero(t, p.run("submit", "bulk.yaml").code)
	require.Eventually(t, func() bool { return strings.Contains(p.run("tasks", "list").stdout, "no live worker takes queue bulk") },
		patience, 20*time.Millisecond)
	require.Regexp(t, `queue default, mail +0/8`, p.run("workers").stdout)
	startRelease(t, p, "handlers", "--queue", "bulk")
	require.Eventually(t, func() bool { return done(t, p, "complete") == 1 }, patience, 20*time.Millisecond)
}

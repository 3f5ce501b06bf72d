package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// oneStep is a template of one step, whose handler runs the lines.
func oneStep(lines string) map[string]string {
	return map[string]string{
		"t.yaml": "name: t\nnamespace_name: trouble\nversion: 1.0.0\nstep_templates:\n  - {name: one, handler_class: \"One\"}\n",
		"handlers/one.rb": "class One < Tasker::StepHandler::Base\n  KEPT = []\n  QUEUE = Queue.new\n" +
			"  def process(task, sequence, step)\n" + lines + "\n    {}\n  end\nend\n",
	}
}

func TestSoakSaysWhereRubyHasCrashed(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, oneStep(`    $stderr.puts "x" * 20_000
    require "fiddle"
    Fiddle::Pointer.new(8)[0, 8]`))
	r := p.run("soak", "t.yaml", "--no-db", "--iterations", "200", "--samples", "40")
	require.Equal(t, exitBadInput, r.code, r.stderr)
	require.Contains(t, r.stderr, "[BUG] Segmentation fault")
	require.Contains(t, r.stderr, "handlers/one.rb:7:in `process'")
	require.Less(t, len(r.stderr), 15_000, "the list of mapped files is left out")
	require.Contains(t, r.stderr, "the process that runs the tasks has ended")
}

func TestSoakRefusesWhatCannotBeCompared(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(false))
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", p.dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	git("init", "-q")
	git("add", "order.yaml")
	git("commit", "-qm", "no handlers yet")
	git("tag", "empty")
	git("add", ".")
	git("commit", "-qm", "handlers")

	r := p.run("soak", "order.yaml", "--no-db", "--against", "empty")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, "empty has no folder handlers")
	require.Equal(t, 1, strings.Count(git("worktree", "list"), "\n"), "the worktree is removed")

	r = p.run("soak", "order.yaml", "--no-db", "--against", "")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, "--against is empty")

	r = p.run("soak", "order.yaml", "--no-db", "--budget", "inf")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, "--budget cannot be +Inf")

	p.env = append(p.env, "GIT_DIR=/nowhere", "GIT_INDEX_FILE=/nowhere/index") // as a hook has them
	r = p.run("soak", "order.yaml", "--no-db", "--against", "nothing")
	require.Contains(t, r.stderr, "no such commit in")
}

func TestSoakCancelsEachTask(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(false))
	r := p.run("soak", "order.yaml", "--cancel-every", "1", "--iterations", "80", "--samples", "40", "--budget", "10000", "--output", "json")
	require.Contains(t, []int{0, exitUndecided}, r.code, r.stderr)
	require.GreaterOrEqual(t, soakResult(t, r).Run.Tasks, int64(80))
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const threeSteps = `
name: order
step_templates:
  - {name: reserve, handler_class: Reserve}
  - {name: charge, handler_class: Charge, depends_on_step: reserve, default_retry_limit: 2, backoff: {curve: none}}
  - {name: ship, handler_class: Reserve, depends_on_step: charge}
`

const threeHandlers = `
class Reserve
  def process(_, _, step) = { "of" => step.name }
end
class Charge
  def process(*)
    raise "the bank is closed" unless File.exist?("open")
    { "paid" => true }
  end
end
`

// A failed run says what to do next, and run --task does it.
func TestAFailedRunGoesOn(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"order.yaml": threeSteps, "handlers/order.rb": threeHandlers})
	failed := p.run("run", "order.yaml")
	require.Equal(t, exitTaskFailed, failed.code, failed.stderr)
	require.Regexp(t, `\nnext\n  tasker-rb tasks show 1 +what has happened\n  tasker-rb run --task 1 +retry the failed steps here\n  tasker-rb tasks retry 1 +retry them in a worker\n\n1 of 3 steps done, 1 failed, 1 retry, in \d\S+\n$`, failed.stdout)

	again := p.run("run", "--task", "1")
	require.Equal(t, exitTaskFailed, again.code, again.stderr)
	p.write(map[string]string{"open": ""})
	done := p.run("run", "--task", "1")
	require.Zero(t, done.code, done.stderr)
	require.NotContains(t, done.stdout, "reserve  started", "it is done")
	requireInOrder(t, done.stdout, "charge   complete in ", "ship     complete in ", "task 1  default/order 0.1.0  complete\n", "\n3 of 3 steps done")
	require.NotContains(t, done.stdout, "\nnext\n")
	require.Contains(t, p.run("tasks", "show", "1").stdout, "run --task")

	requireRefused(t, p.run("run", "--task", "1"), []string{"task 1 is complete"}, "tasks show 1")
	requireRefused(t, p.run("run", "--task", "7"), []string{"task 7: there is no such task"}, "")
	requireRefused(t, p.run("run", "--task", "0"), []string{`"0" is not the number of a task`}, "tasks list")
	requireRefused(t, p.run("run", "--task", "1", "--context", "{}"), []string{"--context cannot be given with --task"}, "Leave --context out.")
	requireRefused(t, p.run("run", "order.yaml", "--task", "1"), []string{"one argument too many: order.yaml"}, "--help")
}

// The task that a killed process has left goes on, too.
func TestRunTaskGoesOnWithAnUnfinishedTask(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"order.yaml": threeSteps, "handlers/order.rb": threeHandlers, "open": ""})
	require.Zero(t, p.run("submit", "order.yaml").code)
	r := p.run("run", "--task", "1", "--output", "json")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, `"status": "complete"`)
	p.write(map[string]string{"elsewhere/order.rb": threeHandlers})
	require.Zero(t, p.run("submit", "order.yaml").code)
	require.Zero(t, p.run("run", "--task", "2", "--handlers", "elsewhere").code)
	require.Zero(t, p.run("submit", "order.yaml").code)
	p.write(map[string]string{"empty/keep.rb": ""})
	requireRefused(t, p.run("run", "--task", "3", "--handlers", "empty"), []string{
		"task 3: the handler of step reserve", "task 3: the handler of step charge", "task 3: the handler of step ship",
	}, "--handlers DIR")
}

// A run says that it takes over its own task from a process that was killed, and nothing
// about the tasks of others.
func TestARunAfterOnesThatWereKilled(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"long.yaml":        one("Long"),
		"handlers/long.rb": "class Long\n  def process(*)\n    puts 'in the middle'\n    sleep unless File.exist?('open')\n  end\nend\n",
	})
	for range 2 {
		killed := p.command("run", "long.yaml")
		p.follow(killed, func(line string) {
			if line == "only | in the middle" {
				require.NoError(t, killed.Process.Kill())
			}
		})
	}
	p.write(map[string]string{"open": ""})
	r := p.run("run", "--task", "2")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, 1, strings.Count(r.stdout, "is gone"), r.stdout)
	require.Contains(t, r.stdout, "task 2: the process that ran step only is gone; this one takes the step over\n")
	require.NotContains(t, r.stdout+r.stderr, "engine")
}

func TestWhatRunPrintsOfSixtySteps(t *testing.T) {
	t.Parallel()
	var template strings.Builder
	template.WriteString("name: many\nstep_templates:\n")
	for i := range 60 {
		fmt.Fprintf(&template, "  - {name: step%02d, handler_class: Reserve}\n", i)
	}
	p := newProject(t, map[string]string{"many.yaml": template.String(), "order.yaml": threeSteps, "handlers/order.rb": threeHandlers})

	quiet := p.run("run", "many.yaml", "--quiet")
	require.Zero(t, quiet.code, quiet.stderr)
	require.Regexp(t, `^\ntask 1  default/many 0\.1\.0  complete\n\n60 of 60 steps done, in \d\S+\n$`, quiet.stdout)

	two := p.run("run", "many.yaml", "-q", "--show", "step07", "--show", "step59")
	require.Regexp(t, "complete\n\nstep07\n  {\n    \"of\": \"step07\"\n  }\n\nstep59\n  {\n    \"of\": \"step59\"\n  }\n\n60 of 60", two.stdout)

	failed := p.run("run", "order.yaml", "-q")
	require.Equal(t, exitTaskFailed, failed.code)
	requireInOrder(t, failed.stdout, "charge  error after 2 attempts\n  RuntimeError: the bank is closed\n", "next\n", "1 of 3 steps done, 1 failed, 1 retry, in ")
	require.NotContains(t, failed.stdout, "reserve\n")
	require.NotContains(t, failed.stdout, "started")

	scratch := *p
	scratch.url, scratch.env = "", []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t)}
	require.NotContains(t, scratch.run("run", "order.yaml", "--scratch").stdout, "\nnext\n", "the task is gone with its database")

	requireRefused(t, p.run("run", "order.yaml", "--show", "refund"), []string{"--show refund: the template has no such step"}, "Its steps are reserve, charge, ship.")
	requireRefused(t, p.run("run", "order.yaml", "--quiet", "--output", "json"), []string{"--quiet is for text"}, "Leave one of them out.")
}

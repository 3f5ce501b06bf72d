package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// flaky is a project whose second step fails until the file "good" exists.
func flaky(t *testing.T) *project {
	p := newProject(t, map[string]string{
		"flaky.yaml": `name: flaky
namespace_name: shop
version: 1.0.0
step_templates:
  - {name: one, handler_class: One}
  - {name: two, handler_class: Two, depends_on_step: one, default_retry_limit: 1}
  - {name: three, handler_class: One, depends_on_step: two}
`,
		"handlers/steps.rb": `
class One < Tasker::StepHandler::Base
  def process(*) = { ok: true }
end
class Two < Tasker::StepHandler::Base
  class Closed < StandardError; end
  def process(_task, _sequence, _step)
    raise Closed, "come back later" unless File.exist?(File.join(__dir__, "..", "good"))
    { opened: true }
  end
end
`,
	})
	return p
}

func TestTasksFromFailureToComplete(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Equal(t, 1, p.run("run", "flaky.yaml").code)

	list := p.run("tasks", "list", "--state", "error")
	require.Zero(t, list.code, list.stderr)
	require.Contains(t, list.stdout, "shop/flaky 1.0.0")
	require.Contains(t, list.stdout, "1/3")
	require.Contains(t, list.stdout, "two: Two::Closed")

	show := p.run("tasks", "show", "1")
	require.Zero(t, show.code, show.stderr)
	require.Contains(t, show.stdout, "Two::Closed: come back later")
	require.Regexp(t, `(?m)^  ✓  one    complete +1 attempt .*\n  ✗  two    error +1 attempt .*\n  ·  three  pending +0 attempts\n`, show.stdout)
	require.Regexp(t, `from .*handlers/steps\.rb:8`, show.stdout)
	require.Contains(t, show.stdout, "two: in_progress -> error (attempt 1)")

	dry := p.run("tasks", "retry", "--error-class", "Two::Closed", "--dry-run")
	require.Zero(t, dry.code, dry.stderr)
	require.Equal(t, "task 1 would be retried (shop/flaky 1.0.0, two: Two::Closed)\n1 task\n", dry.stdout)
	require.Contains(t, p.run("tasks", "list").stdout, "error")

	again := p.run("run", "--task", "1")
	require.Contains(t, again.stdout, "two    ended in error (attempt 2, 1 of 1 since the retry): Two::Closed")
	require.Contains(t, again.stdout, "error after 1 attempt since the retry, 2 in all\n")
	show = p.run("tasks", "show", "1")
	require.Regexp(t, `(?m)^  ✗  two    error +1 attempt since the retry, 2 in all  \S+$`, show.stdout)
	require.Contains(t, show.stdout, "\ntwo  attempt 2 (1 of 1 since the retry)\n")
	require.Contains(t, show.stdout, "two: in_progress -> error (attempt 2)")

	p.write(map[string]string{"good": ""})
	retry := p.run("tasks", "retry", "1", "--by", "ada", "--reason", "it is open")
	require.Zero(t, retry.code, retry.stderr)
	require.Contains(t, p.run("tasks", "show", "1").stdout, "\ntwo  attempt 2 (before the retry)\n")
	worked(t, p, func() bool { return strings.Contains(p.run("tasks", "list").stdout, "complete") })
	show = p.run("tasks", "show", "1")
	require.Contains(t, show.stdout, "it is open (ada)")

	var document taskJSON
	require.NoError(t, json.Unmarshal([]byte(p.run("tasks", "show", "1", "--output", "json").stdout), &document))
	require.Equal(t, "complete", document.Status)
	require.Len(t, document.Steps, 3)
}

func TestTasksResolveAndCancel(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Equal(t, 1, p.run("run", "flaky.yaml").code)
	require.Equal(t, 1, p.run("run", "flaky.yaml").code)
	done := p.run("tasks", "resolve", "1", "--step", "two", "--results", `{"opened": "by hand"}`)
	require.Zero(t, done.code, done.stderr)
	worked(t, p, func() bool { return strings.Contains(p.run("tasks", "list").stdout, "complete") })
	require.Contains(t, p.run("tasks", "show", "1", "--output", "json").stdout, `"by hand"`)

	done = p.run("tasks", "cancel", "2")
	require.Zero(t, done.code, done.stderr)
	var summaries []summaryJSON
	require.NoError(t, json.Unmarshal([]byte(p.run("tasks", "list", "--state", "cancelled", "--output", "json").stdout), &summaries))
	require.Len(t, summaries, 1)
	require.EqualValues(t, 2, summaries[0].TaskID)
}

// Text of unknown origin must not move the terminal's cursor, fill the screen or
// break the columns.
func TestOddTextIsShown(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"odd.yaml": `name: odd
step_templates:
  - {name: 日本語, handler_class: Odd, default_retry_limit: 1}
  - {name: plain, handler_class: Odd, depends_on_step: 日本語}
`,
		"handlers/odd.rb": "class Odd < Tasker::StepHandler::Base\n  def process(*) = raise(\"\\e[2J\" + \"x\" * 10_000)\nend\n",
	})
	run := p.run("run", "odd.yaml")
	require.Equal(t, 1, run.code, run.stderr)
	require.NotContains(t, run.stdout, "\x1b[2J")
	require.Contains(t, run.stdout, `RuntimeError: \u001b[2Jxxx`)
	require.Contains(t, run.stdout, "xxx… (and 6018 more characters, which --output json has)\n")
	require.Less(t, len(run.stdout), 6000)
	require.NotContains(t, p.run("tasks", "cancel", "1", "--reason", "because\x1b[2J of that").stdout, "\x1b")
	show := p.run("tasks", "show", "1").stdout
	require.NotContains(t, show, "\x1b")
	require.Contains(t, show, "\n  ✗  日本語  error             1 attempt")
	require.Contains(t, show, "\n  ✗  plain   cancelled         0 attempts")
	require.Contains(t, show, `because\u001b[2J of that`)
	require.Contains(t, p.run("tasks", "show", "1", "--output", "json").stdout, strings.Repeat("x", 10_000))

	console := p.typedIn(`File.write("handlers/odd.rb", "raise %(load \\e]0;mine\\a)")`, "task(1)", "reload!").stdout
	requireInOrder(t, console, `RuntimeError: \u001b[2Jxxx`, `cannot be loaded: `, `load \u001b]0;mine\u0007`)
	require.NotContains(t, console, "\x1b")
	for _, args := range [][]string{{"run", "odd.yaml"}, {"doctor", "--template", "odd.yaml"}} {
		refused := p.run(args...)
		require.NotContains(t, refused.stdout+refused.stderr, "\x1b")
		require.Contains(t, refused.stdout+refused.stderr, `load \u001b]0;mine\u0007`)
	}
}

// A retry of many tasks prints a line, or a JSON object, for each task.
func TestRetryOfMany(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	for range 2 {
		require.Equal(t, 1, p.run("run", "flaky.yaml").code)
	}
	var list []struct {
		TaskID     int64  `json:"task_id"`
		FailedStep string `json:"failed_step"`
		Retried    bool   `json:"retried"`
	}
	got := p.run("tasks", "retry", "--name", "flaky", "--newer-than", "1d", "--limit", "1", "--output", "json")
	require.Zero(t, got.code, got.stderr)
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &list))
	require.Len(t, list, 1)
	require.Equal(t, "two", list[0].FailedStep)
	require.True(t, list[0].Retried)
	got = p.run("tasks", "retry", "--name", "flaky", "--limit", "1")
	require.Equal(t, "task 1 is to be retried (shop/flaky 1.0.0, two: Two::Closed)\n1 task; there may be more than --limit 1\n", got.stdout)
	require.Equal(t, "0 tasks\n", p.run("tasks", "retry", "--name", "flaky").stdout)
}

// A task with --run-at is not due before that time.
func TestSubmitForLater(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	got := p.run("submit", "flaky.yaml", "--run-at", "2d", "--source", "shop")
	require.Regexp(t, `^task 1 submitted, to run at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$`, got.stdout, got.stderr)
	require.Contains(t, p.run("submit", "flaky.yaml", "--run-at", "2000-01-01T00:00:00Z", "--count", "2").stdout, "2 tasks submitted, 2 to 3, to run at ")
	var list []summaryJSON
	require.NoError(t, json.Unmarshal([]byte(p.run("tasks", "list", "--output", "json").stdout), &list))
	require.Greater(t, time.Until(list[2].DueAt.Time), 47*time.Hour)
	show := p.run("tasks", "show", "1").stdout
	require.Contains(t, show, "from       shop\n")
	require.Regexp(t, `\n  not before \d{4}-`, show)
}

// Wrong commands are refused with the reason and a hint.
func TestTasksRefusals(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	p.write(map[string]string{"good": ""})
	require.Zero(t, p.run("run", "flaky.yaml").code)
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"tasks", "retry", "1"}, "complete"},
		{[]string{"tasks", "cancel", "1"}, "complete"},
		{[]string{"tasks", "resolve", "1"}, "complete"},
		{[]string{"tasks", "resolve", "1", "--step", "two", "--results", "{"}, "JSON"},
		{[]string{"tasks", "resolve", "1", "--step", "nope"}, "nope"},
		{[]string{"tasks", "resolve", "1", "--results", "{}"}, "--step"},
		{[]string{"tasks", "show", "77"}, "no such task"},
		{[]string{"tasks", "show", "x"}, "not the number of a task"},
		{[]string{"tasks", "show"}, "missing"},
		{[]string{"tasks", "retry"}, "filter"},
		{[]string{"tasks", "retry", "1", "--dry-run"}, "--dry-run"},
		{[]string{"tasks", "list", "--state", "asleep"}, "asleep"},
		{[]string{"tasks", "list", "--limit", "0"}, "--limit"},
		{[]string{"tasks", "list", "--output", "xml"}, "xml"},
		{[]string{"tasks", "list", "--below", "-1"}, "--below cannot be -1"},
		{[]string{"tasks", "list", "--below", "0"}, "--below cannot be 0"},
		{[]string{"tasks", "list", "--running-longer-than", "0s"}, "--running-longer-than cannot be 0"},
		{[]string{"tasks", "cancel", "--newer-than", "0s"}, "--newer-than cannot be 0"},
		{[]string{"tasks", "prune", "--older-than", "0s"}, "--older-than cannot be 0"},
		{[]string{"tasks", "prune"}, "--older-than is missing"},
		{[]string{"submit", "flaky.yaml", "--count", "0"}, "--count"},
		{[]string{"submit", "flaky.yaml", "--count", "2", "--key", "k"}, "--key"},
		{[]string{"submit", "nowhere.yaml"}, "nowhere.yaml"},
		{[]string{"worker", "--handlers", "handlers", "--tasks", "0"}, "--tasks"},
	} {
		got := p.run(c.args...)
		require.Equal(t, exitBadInput, got.code, c.args)
		require.Empty(t, got.stdout, c.args)
		require.Contains(t, got.stderr, "error: ", c.args)
		require.Contains(t, got.stderr, c.text, c.args)
		require.Contains(t, got.stderr, "hint: ", c.args)
	}
}

func TestSubmitOnce(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Equal(t, "task 1 submitted\n", p.run("submit", "flaky.yaml", "--key", "k").stdout)
	require.Equal(t, "already there: task 1\n", p.run("submit", "flaky.yaml", "--key", "k").stdout)
	first := p.run("submit", "flaky.yaml", "--once").stdout
	var id int
	_, err := fmt.Sscanf(first, "task %d submitted", &id)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("already there: task %d\n", id), p.run("submit", "flaky.yaml", "--once").stdout)
	require.Contains(t, p.run("submit", "flaky.yaml", "--count", "3").stdout, "3 tasks submitted")

	changed := strings.Replace(p.read("flaky.yaml"), "default_retry_limit: 1", "default_retry_limit: 2", 1)
	p.write(map[string]string{"flaky.yaml": changed})
	got := p.run("submit", "flaky.yaml")
	require.Equal(t, exitBadInput, got.code)
	require.Contains(t, got.stderr, "changed under the same version")
	require.Contains(t, got.stderr, "new version")
}

// The hint about a task that cannot be retried leads to what is possible.
func TestWhatHelpsInPlaceOfARetry(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"two.yaml":         "name: two\nstep_templates:\n  - {name: one, handler_class: Fails, default_retry_limit: 1}\n  - {name: two, handler_class: Fails, default_retry_limit: 1}\n",
		"handlers/fail.rb": "class Fails\n  def process(*) = raise('no')\nend\n",
	})
	require.Equal(t, exitTaskFailed, p.run("run", "two.yaml").code)
	require.Zero(t, p.run("tasks", "retry", "1", "--step", "one").code)
	requireRefused(t, p.run("tasks", "retry", "1"), []string{"task 1 is in_progress: only a task that ended in error can be retried"}, "A single waiting or failed step can be retried by its name.")
	require.Zero(t, p.run("tasks", "retry", "1", "--step", "two").code)
	requireRefused(t, p.run("tasks", "retry", "1"), []string{"task 1 is in_progress: only a task that ended in error can be retried"},
		"a `tasker-rb worker` goes on with it, or `tasker-rb run --task 1` here; `tasker-rb tasks cancel 1` ends it.")
}

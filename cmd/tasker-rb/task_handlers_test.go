package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// annotated is a project whose template has a task handler.
func annotated(t *testing.T) *project {
	return newProject(t, map[string]string{
		"order.yaml": "name: order\ntask_handler_class: OrderTask\nstep_templates:\n  - {name: one, handler_class: One}\n",
		"absent.yaml": "# There is no such class.\nname: absent\ntask_handler_class: NoTask\n" +
			"step_templates:\n  - {name: one, handler_class: One}\n",
		"handlers/one.rb": "class One\n  def process(task, *) = { currency: task.context[:currency] }\nend\n",
		"handlers/order_task.rb": `
class OrderTask < Tasker::ConfiguredTask
  def schema = { type: :object, required: [:order_id], properties: { order_id: { type: :integer } } }
  def establish_step_dependencies_and_defaults(task, steps) = task.context[:currency] ||= "EUR"
  def update_annotations(task, sequence, steps)
    steps.each { |step| task.annotations.create!(annotation_type: "paid", annotation: { step: step.name, in: step.results[:currency] }) }
  end
end
`,
		"test/order_test.rb": `
require "minitest/autorun"
require "tasker/testing"
class OrderTest < Minitest::Test
  include Tasker::Testing
  def test_an_order
    task = run_task("order.yaml", context: { order_id: 1 })
    assert_equal "EUR", task.step("one").results["currency"]
    assert_equal [["paid", { "step" => "one", "in" => "EUR" }]],
                 Tasker::TaskAnnotation.where(task_id: task.id).map { |a| [a.annotation_type_name, a.annotation] }
  end
  def test_a_bad_order
    error = assert_raises(StandardError) { run_task("order.yaml", context: { order_id: "x" }) }
    assert_match(/context.order_id must be an integer/, error.message)
  end
  def test_a_crash
    kill_host(during: "one")
    assert_equal 1, Tasker::TaskAnnotation.where(task_id: run_task("order.yaml", context: { order_id: 1 }).id).size
  end
end
`,
	})
}

func TestTaskHandlers(t *testing.T) {
	t.Parallel()
	p := annotated(t)
	r := p.run("run", "order.yaml", "--context", `{"order_id": "x"}`)
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stderr, "bad context for default/order 0.1.0: context.order_id must be an integer")
	require.Contains(t, r.stderr, "hint: The method schema of the task handler OrderTask says what it must be.")
	require.Zero(t, p.written())

	require.Zero(t, p.run("run", "order.yaml", "--context", `{"order_id": 1}`).code)
	show := p.run("tasks", "show", "1")
	require.Zero(t, show.code, show.stderr)
	require.Contains(t, show.stdout, "\nannotations\n  paid  {\"step\":\"one\",\"in\":\"EUR\"}\n\nhistory\n")
	p.sql(`update tasker.task_annotations set annotation = ('"' || repeat('x', 1000) || '"')::json where task_id = 1`)
	require.Regexp(t, `\n  paid  "x{299}… \(and 702 more characters, which --output json has\)\n`, p.run("tasks", "show", "1").stdout)
	p.sql(`update tasker.task_annotations set annotation = '{"step": "one", "in": "EUR"}' where task_id = 1`)
	var document taskJSON
	require.NoError(t, json.Unmarshal([]byte(p.run("tasks", "show", "1", "--output", "json").stdout), &document))
	require.Len(t, document.Annotations, 1)
	require.Equal(t, "paid", document.Annotations[0].Type)
	require.JSONEq(t, `{"step": "one", "in": "EUR"}`, string(document.Annotations[0].Annotation))

	// Another engine, without Ruby, submits what the handler's class refuses.
	require.Zero(t, p.run("submit", "order.yaml", "--context", `{}`).code)
	worked(t, p, func() bool { return done(t, p, "error") == 1 })
	require.Contains(t, p.run("tasks", "show", "2").stdout, "context.order_id is required")

	// A recorded step is repeated with its hooks.
	p.export()
	again := p.run("run", "--from", "task.json", "--only", "one", "--handlers", "handlers")
	require.Zero(t, again.code, again.stderr)
	require.Contains(t, again.stdout, "EUR")
}

func TestATestOfATaskHandler(t *testing.T) {
	t.Parallel()
	p := annotated(t)
	r := p.run("test")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "3 runs, 6 assertions, 0 failures, 0 errors")
}

func TestATaskHandlerThatIsAbsent(t *testing.T) {
	t.Parallel()
	p := annotated(t)
	r := p.run("run", "absent.yaml")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout+r.stderr, "the template names the task handler NoTask, and no file defines this class")

	r = p.run("templates", "lint", "absent.yaml", "order.yaml", "--handlers", "handlers")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "warning: absent.yaml:")
	require.Contains(t, r.stdout, "no file defines the task handler NoTask")
	require.Contains(t, r.stdout, "2 templates, 0 problems, 1 warning")
}

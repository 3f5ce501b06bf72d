package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// eventful is a project whose subscribers write what they hear to files.
func eventful(t *testing.T) *project {
	t.Helper()
	return newProject(t, map[string]string{
		"order.yaml": `name: order
namespace_name: shop
step_templates:
  - {name: pack, handler_class: Pack}
  - {name: ship, handler_class: Ship, depends_on_step: pack, default_retry_limit: 1}
`,
		"handlers/steps.rb": `class Pack < Tasker::StepHandler::Base
  def process(*) = "packed"
end
class Ship < Tasker::StepHandler::Base
  def process(task, *) = task.context[:fail] ? raise("no carrier") : "shipped"
end
`,
		"handlers/subscribers.rb": `class Report < Tasker::Events::Subscribers::BaseSubscriber
  subscribe_to :task_completed, "task.failed",
               "workflow.error"
  subscribe_to "order.shiped"

  def handle_task_completed(event) = note(event, "#{event[:completed_steps]} steps")
  def handle_task_failed(event) = note(event, safe_get(event, :error_message))
  def handle_workflow_error(_event) = nil
  def handle_order_shiped(_event) = nil

  private

  def note(event, more) = File.write("heard", "#{event.name} #{event[:task_name]}, #{more}\n", mode: "a")
end
Report.subscribe(Tasker::Events::Publisher.instance)
Tasker::Events.subscribe("task.completed") { raise "a subscriber in trouble" }
`,
	})
}

func TestARunTellsItsSubscribers(t *testing.T) {
	t.Parallel()
	p := eventful(t)
	r := p.run("run", "order.yaml")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, "task.completed order, 2 steps\n", p.read("heard"))
	require.Contains(t, r.stdout, "a subscriber to task.completed raised RuntimeError: a subscriber in trouble")
	for _, warning := range []string{
		"subscribers.rb:2: the event workflow.error never comes: tasker-engine has no such event; use task.failed",
		"subscribers.rb:4: nobody publishes the event order.shiped",
	} {
		require.Equal(t, 1, strings.Count(r.stdout, warning), r.stdout)
	}
	r = p.run("run", "order.yaml", "--context", `{"fail": true}`)
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Equal(t, "task.completed order, 2 steps\ntask.failed order, no carrier\n", p.read("heard"))
}

func TestAWorkerTellsItsSubscribers(t *testing.T) {
	t.Parallel()
	p := eventful(t)
	p.write(map[string]string{"handlers/slow.rb": `Tasker::Events.subscribe("task.completed") { sleep }` + "\n"})
	for _, input := range []string{`{}`, `{"fail": true}`, `{}`} {
		require.Zero(t, p.run("submit", "order.yaml", "--context", input).code)
	}
	// One thread: a subscriber that held it would hold up every step.
	worker, out := startWorker(t, p, "--threads", "1")
	require.Eventually(t, func() bool {
		return done(t, p, "complete") == 2 && done(t, p, "error") == 1 && out.says("working on ")()
	}, patience, 20*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(os.Interrupt))
	require.NoError(t, worker.Wait(), out)
	require.Contains(t, out.String(), "take too long; this process does not wait for them")
}

func TestAWorkerTellsWhatIsDueBeforeItEnds(t *testing.T) {
	t.Parallel()
	p := eventful(t)
	for _, input := range []string{`{}`, `{"fail": true}`} {
		require.Zero(t, p.run("submit", "order.yaml", "--context", input).code)
	}
	worked(t, p, func() bool { return done(t, p, "complete") == 1 && done(t, p, "error") == 1 })
	heard := p.read("heard")
	require.Contains(t, heard, "task.completed order, 2 steps\n")
	require.Contains(t, heard, "task.failed order, no carrier\n")
}

// The events of a task belong to what run_task returns.
func TestASuiteSeesTheEventsOfItsTasks(t *testing.T) {
	t.Parallel()
	p := eventful(t)
	require.NoError(t, os.Rename(filepath.Join(p.dir, "order.yaml"), filepath.Join(p.dir, "handlers", "order.yaml")))
	p.write(map[string]string{"test/order_test.rb": `require "tasker/testing"
class OrderTest < Minitest::Test
  def test_events
    3.times do
      task = run_task("order")
      assert_published task, "task.completed", total_steps: 2
      assert_equal %w[step.execution_requested step.before_handle step.completed], task.published.select { |e| e.step == "ship" }.map(&:name)
      assert_equal 1, task.published.count { |e| e.name == "task.completed" }
    end
    assert_published run_task("order", context: { fail: true }), "task.failed", error_message: "no carrier"
    assert_equal 4, File.readlines("heard").size
  end
end
`})
	p.url = ""
	r := p.run("test", "--templates", "handlers", "test/order_test.rb")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "0 failures")
}

// The events that a step of Tasker Core's format publishes come after the outcome of each
// attempt, by its condition and through its publisher.
func TestStepsPublishTheirDomainEvents(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"payment.yaml": `name: payment
namespace_name: payments
steps:
  - name: check
    handler: {callable: Check}
  - name: charge
    handler: {callable: Charge}
    dependencies: [check]
    retry: {max_attempts: 3, backoff: none}
    publishes_events:
      - {name: payment.processed, condition: success, publisher: Payments, delivery_mode: fast}
      - {name: payment.failed, condition: retryable_failure, publisher: "Shop::Failures", delivery_mode: fast}
      - {name: payment.lost, condition: permanent_failure, delivery_mode: fast}
      - {name: payment.tried, condition: always, delivery_mode: fast}
`,
		"handlers/steps.rb": `require "tasker/compat/tasker_core"
class Check < TaskerCore::StepHandler::Base
  def call(_context) = success(result: { ok: true })
end
class Charge < TaskerCore::StepHandler::Base
  def call(context)
    return failure(message: "busy", error_code: "BUSY", retryable: true) unless context.is_retry?
    return failure(message: "no card", error_code: "NO_CARD") if context.get_input("fail")

    success(result: { cents: 500, id: "c1" }, metadata: { provider: "bank" })
  end
end
`,
		"handlers/events.rb": `require "tasker/compat/tasker_core"
class Payments < TaskerCore::DomainEvents::BasePublisher
  def name = "Payments"
  def transform_payload(result, declaration, context = nil)
    { cents: result[:result]["cents"], on: declaration[:condition], step: context.step_name, order: context[:task][:context][:order] }
  end
  def additional_metadata(result, *) = { provider: result[:metadata][:provider] }
end
module Shop
  class Failures < TaskerCore::DomainEvents::BasePublisher
    def name = "Shop::Failures"
    def transform_payload(result, *) = { code: result[:metadata][:error_code], why: result[:metadata][:error_message] }
  end
end
class Everything < TaskerCore::DomainEvents::BaseSubscriber
  subscribes_to "payment.*"
  def handle(event)
    state = Tasker.db.first("select string_agg(outcome, ',' order by attempt) as o from tasker.attempts join tasker.steps using (step_id) where name = 'charge'")["o"]
    File.write("heard", "#{event[:event_name]} #{event[:business_payload].to_h} #{event[:metadata][:provider]} after #{state}\n", mode: "a")
  end
end
TaskerCore::DomainEvents::PublisherRegistry.instance.register(Payments.new)
TaskerCore::DomainEvents::SubscriberRegistry.instance.register(Everything)
`,
	})
	r := p.run("run", "payment.yaml", "--context", `{"order": 7}`)
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Empty(t, r.stderr)
	require.Regexp(t, `^payment.failed {"code"=>"BUSY", "why"=>"busy"}  after error(,complete)?
payment.tried {}  after error(,complete)?
payment.processed {"cents"=>500, "on"=>"success", "step"=>"charge", "order"=>7} bank after error,complete
payment.tried {"cents"=>500, "id"=>"c1"}  after error,complete
$`, ofOlderRuby(p.read("heard")))
	require.NoError(t, os.Remove(filepath.Join(p.dir, "heard")))
	r = p.run("run", "payment.yaml", "--context", `{"order": 8, "fail": true}`)
	require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
	require.Regexp(t, `payment.failed .*
payment.tried .*
payment.lost {}  after .*
payment.tried {} .*
$`, ofOlderRuby(p.read("heard")))
}

// ofOlderRuby writes the Hashes of Ruby 3.4 as those before do.
func ofOlderRuby(text string) string { return strings.ReplaceAll(text, `" => `, `"=>`) }

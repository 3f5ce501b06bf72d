package rubysteps_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/templates"
)

// lines is a log that is read while others write it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// told is an engine whose events subscribers in Ruby are told of.
type told struct {
	t        *testing.T
	engine   *orchestration.Engine
	events   *rubysteps.Events
	template *templates.Template
	log      *lines
}

// tell starts an engine. The Ruby code subscribes; what it has subscribed ends with the test.
func tell(t *testing.T, subscribe string) *told {
	t.Helper()
	d := &told{t: t, events: &rubysteps.Events{}, log: &lines{}}
	log := slog.New(slog.NewTextHandler(d.log, nil))
	d.ruby(`$before_events = Tasker::Events.subscriptions
		class EventStep < Tasker::StepHandler::Base
			def process(task, _sequence, step)
				raise "no luck" if task.context[:fail] && step.name == "b"
				{ done: step.name }
			end
		end
		$heard = Thread::Queue.new
		nil`)
	t.Cleanup(func() { d.ruby("Tasker::Events.subscriptions = $before_events; nil") })
	d.ruby(subscribe + "\nnil")
	require.NoError(t, d.events.Serve(t.Context(), host, log))
	var err error
	d.engine, err = orchestration.New(t.Context(), orchestration.Config{
		Pool: pgtest.New(t, pgtest.WithTemplate(orchestration.Migrate)), Handlers: rubysteps.New(host), Logger: log, OnEvent: d.events.OnEvent,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.engine.Close()) })
	d.template, err = templates.Parse([]byte(`
name: order
namespace_name: shop
step_templates:
  - {name: a, handler_class: EventStep}
  - {name: b, handler_class: EventStep, depends_on_step: a, default_retry_limit: 2, backoff: {curve: none}}
`), "order.yaml")
	require.NoError(t, err)
	return d
}

func (d *told) ruby(source string) string {
	d.t.Helper()
	out, err := host.Eval(context.Background(), source, "events_test.rb")
	require.NoError(d.t, err)
	return string(out)
}

func (d *told) run(input string) orchestration.TaskState {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 3*time.Minute)
	defer cancel()
	s, err := d.engine.Submit(ctx, orchestration.Submission{Template: d.template, Context: json.RawMessage(input)})
	require.NoError(d.t, err)
	out, err := d.engine.Run(ctx, s.TaskID)
	require.NoError(d.t, err)
	return out.State
}

const heardNames = `Array.new($heard.size) { $heard.pop }.map { |e| e.values_at(:event, :step_name).compact.join(" ") }`

const hearAll = `Tasker::Events.subscribe(/\A(task|workflow|step\.(retry|cancel))/) { |e| $heard << e.to_h.merge(event: e.name) }`

func TestSubscribersHearOfATaskThatIsComplete(t *testing.T) {
	d := tell(t, hearAll)
	require.Equal(t, orchestration.TaskComplete, d.run(`{"total": 9}`))
	d.events.Flush(t.Context())
	require.JSONEq(t, `["task.start_requested", "workflow.task_started",
		"workflow.viable_steps_discovered a", "workflow.steps_execution_started a", "workflow.step_completed a", "workflow.steps_execution_completed a",
		"workflow.viable_steps_discovered b", "workflow.steps_execution_started b", "workflow.step_completed b", "workflow.steps_execution_completed b",
		"task.completed", "workflow.task_completed", "workflow.task_finalization_completed"]`, d.ruby(heardNames))
}

func TestSubscribersHearOfATaskThatFails(t *testing.T) {
	d := tell(t, `%w[task.failed task.completed step.retry_requested workflow.step_failed].each { |name| Tasker::Events.subscribe(name) { |e| $heard << e.to_h.merge(event: e.name) } }`)
	require.Equal(t, orchestration.TaskInError, d.run(`{"fail": true}`))
	d.events.Flush(t.Context())
	var heard []map[string]any
	require.NoError(t, json.Unmarshal([]byte(d.ruby(`Array.new($heard.size) { $heard.pop }`)), &heard))
	require.Len(t, heard, 3)
	require.Subset(t, heard[0], map[string]any{"event": "step.retry_requested", "step_name": "b", "attempt_number": 1.0, "error_message": "no luck",
		"backoff_seconds": 0.0, "backoff_strategy": "none", "task_name": "order", "namespace_name": "shop"})
	require.Subset(t, heard[1], map[string]any{"event": "workflow.step_failed", "attempt_number": 2.0, "max_retries_reached": true, "exception_class": "RuntimeError"})
	failed := heard[2]
	require.Subset(t, failed, map[string]any{"event": "task.failed", "status": "error", "error_message": "no luck", "exception_class": "RuntimeError",
		"failed_step_name": "b", "total_steps": 2.0, "completed_steps": 1.0, "failed_steps": 1.0, "context": map[string]any{"fail": true}})
	require.Len(t, failed["error_steps"], 1)
	require.NotEmpty(t, failed["started_at"])
	require.NotEmpty(t, failed["completed_at"])
}

// Ruby is not called when nobody listens to that kind of event, and is when somebody does
// from now on.
func TestEventsThatNobodyListensToCostNoCall(t *testing.T) {
	d := tell(t, `
		require "tasker/host/engine_events"
		$taken = []
		unless defined?(CountTaken)
			CountTaken = Module.new { def take(events, *) = $taken.concat(events.map { |e| e["kind"] }) && super }
			Tasker::Host::EngineEvents.singleton_class.prepend(CountTaken)
		end
		Tasker::Events.subscribe("order.shipped") { nil }
		Tasker::Events.subscribe("step.completed") { nil }`)
	d.run(`{}`)
	d.events.Flush(t.Context())
	require.JSONEq(t, `[]`, d.ruby(`$taken`))
	d.ruby(`$late = Tasker::Events.subscribe("task.completed") { |e| $heard << { event: e.name } }; nil`)
	d.run(`{}`)
	d.events.Flush(t.Context())
	require.JSONEq(t, `[["task_ended"], ["task.completed"]]`, d.ruby(`[$taken, `+heardNames+`]`))
	d.ruby(`Tasker::Events.unsubscribe($late); nil`)
	d.run(`{}`)
	d.events.Flush(t.Context())
	require.JSONEq(t, `["task_ended"]`, d.ruby(`$taken`))
}

// A subscriber may raise, end its thread or sleep: other subscribers and all tasks go on.
func TestSubscribersHarmNobody(t *testing.T) {
	d := tell(t, `
		Tasker::Events.subscribe("task.completed") { raise NotImplementedError, "not yet" }
		Tasker::Events.subscribe("task.completed") { |e| $heard << { event: e.name } }
		Tasker::Events.subscribe("task.completed") { |e| exit if e[:context][:exit]; Thread.exit if e[:context][:kill] }
		Tasker::Events.subscribe("task.completed") { |e| $go.pop if e[:context][:wait] }
		$go = Thread::Queue.new`)
	require.Equal(t, orchestration.TaskComplete, d.run(`{"exit": true}`))
	require.Equal(t, orchestration.TaskComplete, d.run(`{"kill": true}`))
	d.events.Flush(t.Context())
	for range 10 { // more than there are threads
		require.Equal(t, orchestration.TaskComplete, d.run(`{"wait": true}`))
	}
	require.Eventually(t, func() bool { return d.ruby(`$heard.size`) == "3" }, time.Minute, time.Millisecond)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	d.events.Flush(short)
	require.Contains(t, d.log.String(), "take too long; this process does not wait for them")
	require.JSONEq(t, `3`, d.ruby(`$heard.size`), "the third subscriber has not let go yet")
	d.ruby(`10.times { $go << 1 }; nil`)
	d.events.Flush(t.Context())
	require.JSONEq(t, `12`, d.ruby(`$heard.size`))
}

// A subscriber to a task belongs to no step: its SQL commits by itself, and it sees the
// task's end in the database.
func TestSubscribersUseTheDatabaseOutsideSteps(t *testing.T) {
	d := tell(t, `Tasker::Events.subscribe("task.completed") do |e|
		$heard << { event: Tasker.db.first("select state from tasker.tasks where task_id = $1", [e[:task_id]])["state"] }
	end`)
	sql, err := rubysteps.ServeSQL(t.Context(), host, d.engine.Pool(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { sql.Close(context.Background()) })
	d.run(`{}`)
	d.events.Flush(t.Context())
	require.JSONEq(t, `["complete"]`, d.ruby(heardNames))
}

// What waits for slow subscribers is bounded.
func TestTooManyEventsAreDropped(t *testing.T) {
	d := tell(t, `require "stringio"
		require "logger"
		$go = Thread::Queue.new
		Tasker::Events.subscribe("task.completed") { $heard << 1; $go.pop }`)
	require.JSONEq(t, `[true, 10000]`, d.ruby(`
		log = StringIO.new
		Tasker::Host::EngineEvents.instance_variable_set(:@said, nil) # it is said once a minute
		before, Tasker.logger = Tasker.logger, Logger.new(log)
		told = { "kind" => "task_ended", "state" => "complete", "task_id" => 1, "at" => "2026-01-01T00:00:00Z" }
		Tasker::Host::EngineEvents.take([told] * 10_003)
		Tasker.logger = before
		$go.close # from now on pop returns nil
		Tasker::Host::EngineEvents.flush(60)
		[log.string.include?("3 events of tasks were dropped, because 10000 wait"), $heard.size]`))
}

// The tasks of events may have large contexts. One that is larger than all room is delivered
// when nothing else waits.
func TestTooLargeEventsAreDropped(t *testing.T) {
	d := tell(t, `
		$go = Thread::Queue.new
		Tasker::Events.subscribe("task.completed") { $heard << 1; $go.pop }`)
	require.JSONEq(t, `[3, 4]`, d.ruby(`
		told = { "kind" => "task_ended", "state" => "complete", "task_id" => 1, "at" => "2026-01-01T00:00:00Z" }
		half = Tasker::Host::EngineEvents::MOST_BYTES / 2
		events = Tasker::Host::EngineEvents
		events.take([told] * 4, [half, half, 1, 0]) # the third is dropped
		$go.close # from now on pop returns nil
		events.flush(60)
		delivered = $heard.size
		events.take([told] * 2, [half * 3, 1])
		events.flush(60)
		[delivered, $heard.size]`))
}

package rubysteps_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// ruby evaluates definitions at the top level.
func ruby(t *testing.T, source string) {
	t.Helper()
	_, err := host.Eval(t.Context(), source+"\nnil", t.Name()+".rb")
	require.NoError(t, err)
}

// within runs a task whose template names a task handler. input is its context.
func (d *database) within(t *testing.T, taskHandler, input, steps string) *orchestration.TaskDetail {
	t.Helper()
	s, err := d.submitWithin(t, taskHandler, input, steps)
	require.NoError(t, err)
	return d.finish(t, s.TaskID)
}

func (d *database) submitWithin(t *testing.T, taskHandler, input, steps string) (orchestration.Submitted, error) {
	t.Helper()
	name := strings.ToLower(strings.ReplaceAll(taskHandler, "::", "_"))
	template, err := templates.Parse([]byte("name: "+name+"\ntask_handler_class: "+taskHandler+"\nstep_templates:\n"+steps), "t.yaml")
	require.NoError(t, err)
	return d.engine.Submit(t.Context(), orchestration.Submission{Template: template, Context: json.RawMessage(input)})
}

func (d *database) finish(t *testing.T, id int64) *orchestration.TaskDetail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	_, err := d.engine.Run(ctx, id)
	require.NoError(t, err)
	detail, err := d.engine.Task(ctx, id)
	require.NoError(t, err)
	return detail
}

func TestHooksAroundSteps(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	ruby(t, `
		class HookedStep
			def process(task, sequence, step)
				{ currency: task.context[:currency], name: step.name, inputs: step.inputs[:note], status: step.status }
			end
		end
		class Hooked
			include Tasker::TaskHandler
			def establish_step_dependencies_and_defaults(task, steps)
				task.context[:currency] ||= "EUR"
				steps.find { |s| s.name == "pay" }.update(inputs: { note: steps.map(&:name).join(",") })
			end
			def update_annotations(task, sequence, steps)
				steps.each do |s|
					Tasker.db.exec("insert into ledger (entry) values ($1)", ["#{s.name} #{s.status} #{s.processed?} #{s.in_process?} #{s.results[:currency]} #{s.updated_at >= s.created_at}"])
				end
				Tasker.db.exec("insert into ledger (entry) values ($1)", ["with " + sequence.map { |s| "#{s.name}:#{s.status}" }.join(" ")])
			end
		end`)
	task := d.within(t, "Hooked", `{"note": "own"}`, "  - {name: check, handler_class: HookedStep}\n  - {name: pay, handler_class: HookedStep, depends_on_step: check}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	require.JSONEq(t, `{"currency": "EUR", "name": "check", "inputs": "own", "status": "in_progress"}`, string(task.Steps[0].Results()))
	require.JSONEq(t, `{"currency": "EUR", "name": "pay", "inputs": "check,pay", "status": "in_progress"}`, string(task.Steps[1].Results()))
	require.JSONEq(t, `{"note": "own"}`, string(task.Context), "a change of the context is the attempt's")
	require.Equal(t, []string{
		"check complete true false EUR true", "with check:complete pay:pending",
		"pay complete true false EUR true", "with check:complete pay:complete",
	}, d.entries(t))
}

// What a hook writes goes with an attempt that fails, whether the handler or a hook fails it.
func TestHooksOfAnAttemptThatFails(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	ruby(t, `
		class FailsOnceStep
			def process(task, sequence, step)
				raise "not yet" if step.attempts == 1
				step.attempts
			end
		end
		class FailsOnce
			include Tasker::TaskHandler
			def establish_step_dependencies_and_defaults(task, steps)
				Tasker.db.exec("insert into ledger (entry) values ($1)", ["before #{steps.first.attempts}"])
			end
			def update_annotations(task, sequence, steps)
				Tasker.db.exec("insert into ledger (entry) values ($1)", ["after #{steps.first.attempts}"])
				raise "the hook fails" if steps.first.attempts == 2
			end
		end`)
	task := d.within(t, "FailsOnce", `{}`, "  - {name: only, handler_class: FailsOnceStep, backoff: {base_seconds: 0.01, jitter: 0}}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	require.Equal(t, []string{"before 3", "after 3"}, d.entries(t))
	history := task.Steps[0].History
	require.Equal(t, "not yet", history[0].Err.Message)
	require.Equal(t, "the hook fails", history[1].Err.Message)
	require.Contains(t, history[1].Err.Backtrace[0], t.Name()+".rb")
	require.Equal(t, "3", string(task.Steps[0].Results()))
}

func TestHooksFailAStep(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	ruby(t, `class FailsHooksStep; def process(*) = 1; end`)
	for name, c := range map[string]struct{ hook, class, message string }{
		"FailsBefore":    {"def establish_step_dependencies_and_defaults(task, steps) = raise(Tasker::PermanentError.new('no', error_code: 'N'))", "Tasker::PermanentError", "no"},
		"FailsAfter":     {"def update_annotations(task, sequence, steps) = task.nothing_like_it", "NoMethodError", "nothing_like_it"},
		"AnnotatesNaN":   {"def update_annotations(task, sequence, steps) = task.annotations.create!(annotation_type: 'a', annotation: { n: Float::NAN })", "Tasker::UnrepresentableError", "NaN"},
		"AnnotatesBytes": {"def update_annotations(task, sequence, steps) = task.annotations.create!(annotation_type: 'a', annotation: [\"\\xFF\"])", "Tasker::UnrepresentableError", "JSON cannot hold the annotation"},
		"SetsSomething":  {"def establish_step_dependencies_and_defaults(task, steps) = steps.each { |s| s.update(priority: 1) }", "Tasker::ConfigurationError", "cannot set priority of the step only"},
		"Arguments":      {"def initialize(a) = nil; def schema = {}", "ArgumentError", "wrong number of arguments"},
		"NoSchema":       {"def schema = steps_of_mine", "NameError", "steps_of_mine"},
	} {
		ruby(t, "class "+name+"; include Tasker::TaskHandler\n"+c.hook+"\nend")
		template, err := templates.Parse([]byte("name: "+strings.ToLower(name)+"\ntask_handler_class: "+name+
			"\nstep_templates:\n  - {name: only, handler_class: FailsHooksStep, default_retry_limit: 1}\n"), "t.yaml")
		require.NoError(t, err)
		other, err := orchestration.New(t.Context(), orchestration.Config{Pool: d.pool, Handlers: orchestration.Handlers{}})
		require.NoError(t, err)
		s, err := other.Submit(t.Context(), orchestration.Submission{Template: template}) // without Ruby
		require.NoError(t, err)
		require.NoError(t, other.Close())
		failure := d.finish(t, s.TaskID).Steps[0].Last().Err
		require.NotNil(t, failure, name)
		require.Equal(t, c.class, failure.Class, name)
		require.Contains(t, failure.Message, c.message, name)
		require.True(t, failure.Permanent || c.class != "Tasker::UnrepresentableError", name)
	}
}

// A task handler lowers the limit of a step, and cannot raise it.
func TestHooksLimitAttempts(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	ruby(t, `
		class LimitedStep; def process(*) = raise("again"); end
		class OutsideStep; def process(task, sequence, step) = step.retry_limit = 1; end
		class Limits
			include Tasker::TaskHandler
			def establish_step_dependencies_and_defaults(task, steps)
				steps.each { |s| s.update(retry_limit: task.context[:limit]) if task.context[:limit] }
				steps.each { |s| s.retryable = false if task.context[:once] }
			end
		end`)
	for input, attempts := range map[string]int{`{"limit": 2}`: 2, `{"limit": 1}`: 1, `{"limit": 9}`: 3, `{}`: 3, `{"once": true}`: 1} {
		task := d.within(t, "Limits", input, "  - {name: only, handler_class: LimitedStep, default_retry_limit: 3, backoff: {base_seconds: 0.01, jitter: 0}}\n")
		require.Equal(t, orchestration.TaskInError, task.State)
		require.Len(t, task.Steps[0].History, attempts, input)
		require.Equal(t, "again", task.Steps[0].Last().Err.Message)
		require.Equal(t, "RuntimeError", task.Steps[0].Last().Err.Class)
	}
	ruby(t, "class Outside < Limits; end")
	task := d.within(t, "Outside", "{}", "  - {name: only, handler_class: OutsideStep}\n")
	require.Contains(t, task.Steps[0].Last().Err.Message, "step.retry_limit= is for the hook")
}

// A class that is absent is no error, as in tasker-engine. When a file defines it later, its
// hooks are called.
func TestATaskHandlerThatIsAbsent(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	ruby(t, `class AbsentStep; def process(*) = 1; end`)
	const steps = "  - {name: only, handler_class: AbsentStep}\n"
	require.Equal(t, orchestration.TaskComplete, d.within(t, "Absent::Task", "{}", steps).State)
	file := filepath.Join(t.TempDir(), "task.rb")
	require.NoError(t, os.WriteFile(file, []byte(`module Absent; class Task; def update_annotations(task, sequence, steps) = Tasker.db.exec("insert into ledger (entry) values ('called')"); end; end`), 0o600))
	require.NoError(t, host.Load(t.Context(), file))
	require.Equal(t, orchestration.TaskComplete, d.within(t, "Absent::Task", "{}", steps).State)
	require.Equal(t, []string{"called"}, d.entries(t))
}

func TestTheSchemaOfATaskHandler(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	ruby(t, `
		class ChecksStep; def process(*) = Tasker.db.exec("insert into ledger (entry) values ('done')").size; end
		class Checks
			include Tasker::TaskHandler
			def schema
				@schema ||= { type: :object, required: [:order_id], properties: { order_id: { type: "integer", minimum: 1 }, items: { type: :array, items: { type: :string } } } }
			end
		end
		class ChecksBadly
			include Tasker::TaskHandler
			def schema = { type: "objekt" }
		end`)
	const steps = "  - {name: only, handler_class: ChecksStep}\n"
	require.Equal(t, orchestration.TaskComplete, d.within(t, "Checks", `{"order_id": 1, "items": ["a"], "more": 1.50}`, steps).State)

	// Where Ruby is there, the submission is refused.
	_, err := d.submitWithin(t, "Checks", `{"order_id": 0, "items": ["a", 2]}`, steps)
	var wrong *templates.ContextError
	require.ErrorAs(t, err, &wrong)
	require.ElementsMatch(t, []string{"context.order_id must be at least 1, got 0", "context.items[1] must be a string, got a number"},
		[]string{wrong.Violations[0].String(), wrong.Violations[1].String()})
	require.Contains(t, errors.FlattenHints(err), "schema of the task handler Checks")
	_, err = d.engine.SubmitMany(t.Context(), []orchestration.Submission{{Template: templateOf(t, "Checks", steps)}, {Template: templateOf(t, "Checks", steps)}})
	require.ErrorContains(t, err, "submission 1 of 2: bad context")
	_, err = d.submitWithin(t, "ChecksBadly", `{}`, steps)
	require.ErrorContains(t, err, "ChecksBadly#schema is no JSON schema: schema.type: fits none of the allowed forms")

	// Where it is not, the first step is.
	other, err := orchestration.New(t.Context(), orchestration.Config{Pool: d.pool, Handlers: orchestration.Handlers{}})
	require.NoError(t, err)
	s, err := other.Submit(t.Context(), orchestration.Submission{Template: templateOf(t, "Checks", steps), Context: json.RawMessage(`{"items": [7]}`)})
	require.NoError(t, err)
	again, err := other.Submit(t.Context(), orchestration.Submission{Template: templateOf(t, "Checks", steps), Context: json.RawMessage(`{"items": [8]}`)})
	require.NoError(t, err)
	require.NoError(t, other.Close())
	// Its first attempt died with its process, before anything was checked.
	_, err = d.pool.Exec(t.Context(), "update tasker.steps set attempts = 1 where task_id = $1", again.TaskID)
	require.NoError(t, err)
	retried := d.finish(t, again.TaskID)
	require.Equal(t, orchestration.TaskInError, retried.State)
	require.Equal(t, "CONTEXT_INVALID", retried.Steps[0].Last().Err.ErrorCode)

	task := d.finish(t, s.TaskID)
	require.Equal(t, orchestration.TaskInError, task.State)
	require.Len(t, task.Steps[0].History, 1, "it is permanent")
	failure := task.Steps[0].Last().Err
	require.Equal(t, "Tasker::PermanentError", failure.Class)
	require.Equal(t, "CONTEXT_INVALID", failure.ErrorCode)
	require.Contains(t, failure.Message, "Checks#schema ("+t.Name()+".rb:")
	require.Contains(t, failure.Message, "\n  context.order_id is required")
	require.Contains(t, failure.Message, "\n  context.items[0] must be a string, got a number")
	require.Equal(t, []string{"done"}, d.entries(t))
}

func templateOf(t *testing.T, taskHandler, steps string) *templates.Template {
	t.Helper()
	template, err := templates.Parse([]byte("name: "+strings.ToLower(taskHandler)+"\ntask_handler_class: "+taskHandler+"\nstep_templates:\n"+steps), "t.yaml")
	require.NoError(t, err)
	return template
}

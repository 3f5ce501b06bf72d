package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

var host *rubyhost.Host

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if url := os.Getenv(openVariable); url != "" {
		return exitCode(openAndRun(url))
	}
	var err error
	host, err = rubyhost.Boot(rubyhost.Options{Threads: 8, Grace: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := host.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	if url := os.Getenv(workerVariable); url != "" {
		fmt.Fprintln(os.Stderr, workUntilKilled(url))
		return 1
	}
	return m.Run()
}

// run runs a task of one step. The process method of its handler has this body.
func run(t *testing.T, class, body, more string) *orchestration.StepDetail {
	t.Helper()
	_, err := host.Eval(t.Context(), "class ::"+class+" < Tasker::StepHandler::Base\ndef process(task, sequence, step)\n"+body+"\nend\nend; nil", class+".rb")
	require.NoError(t, err)
	d := runTemplate(t, "name: one\nstep_templates:\n  - {name: only, handler_class: "+class+", default_retry_limit: 1"+more+"}\n", nil)
	return &d.Steps[0]
}

func runTemplate(t *testing.T, yaml string, byClass map[string]orchestration.StepHandler) *orchestration.TaskDetail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pgtest.New(t, pgtest.WithTemplate(orchestration.Migrate)),
		Handlers: orchestration.Handlers{ByClass: byClass, Next: rubysteps.New(host)},
		Logger:   slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	template, err := templates.Parse([]byte(yaml), "t.yaml")
	require.NoError(t, err)
	s, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"order_id": 42}`)})
	require.NoError(t, err)
	_, err = engine.Run(ctx, s.TaskID)
	require.NoError(t, err)
	d, err := engine.Task(ctx, s.TaskID)
	require.NoError(t, err)
	return d
}

// requireAllGivenBack requires that no connection of the pool is in use. The pool
// takes its idle connections for a moment to check them, and the engine asks its own
// questions; so it waits.
func requireAllGivenBack(t *testing.T, pool *pgxpool.Pool, otherwise string) {
	t.Helper()
	require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() == 0 }, time.Minute, time.Millisecond, otherwise)
}

func TestResultsAndHeads(t *testing.T) {
	t.Parallel()
	s := run(t, "Heads", `{
		id: task.task_id.is_a?(Integer), order: task.context[:order_id], step: step.name, attempts: step.attempts, limit: step.retry_limit,
		status: step.status, class: step.handler_class, tags: task.tags, version: task.version, created: task.created_at.class.name,
		steps: sequence.map(&:name), big: 2**200, in_process: step.in_process, state: task.status }`, "")
	require.Equal(t, orchestration.StepComplete, s.State)
	require.JSONEq(t, `{"id":true,"order":42,"step":"only","attempts":1,"limit":1,"status":"in_progress","class":"Heads","tags":[],
		"version":"0.1.0","created":"Time","steps":["only"],"in_process":true,"state":"in_progress",
		"big":1606938044258990275541962092341162602522202993782792835301376}`, string(s.Results()))
}

func TestErrorsKeepEverything(t *testing.T) {
	t.Parallel()
	s := run(t, "Everything", `
		begin
			Integer("x")
		rescue ArgumentError
			raise Tasker::PermanentError.new("declined", error_code: "CARD", context: { amount: 2**70 })
		end`, "")
	e := s.Last().Err
	require.Equal(t, "Tasker::PermanentError", e.Class)
	require.Contains(t, e.Ancestors, "Tasker::ProceduralError")
	require.Equal(t, "declined", e.Message)
	require.Equal(t, "CARD", e.ErrorCode)
	require.True(t, e.Permanent)
	require.JSONEq(t, `{"amount":1180591620717411303424}`, string(e.Context))
	require.Regexp(t, `^Everything\.rb:7`, e.Backtrace[0])
	require.Equal(t, "ArgumentError", e.Cause.Class)
}

func TestKilledThreadFailsTheStepByAName(t *testing.T) {
	t.Parallel()
	e := run(t, "KillsItsThread", "Thread.current.kill", "").Last().Err
	require.Equal(t, "Tasker::HostError", e.Class)
	require.Regexp(t, `^the handler's thread was killed \(A handler must return or raise; `, e.Message)
}

func TestTimeoutHasThePlaceInRuby(t *testing.T) {
	t.Parallel()
	s := run(t, "Slow", "loop { begin; sleep; rescue => e; end }", ", timeout_seconds: 5") // long enough for the handler to begin
	e := s.Last().Err
	require.Equal(t, "Tasker::StepTimeout", e.Class)
	require.False(t, e.Permanent)
	require.NotEmpty(t, e.Backtrace)
	require.Regexp(t, `Slow\.rb:3`, e.Backtrace[0])
}

func TestWhatJSONCannotHold(t *testing.T) {
	t.Parallel()
	s := run(t, "NotANumber", "{ items: [{}, { price: Float::NAN }] }", "")
	e := s.Last().Err
	require.Equal(t, "Tasker::UnrepresentableError", e.Class)
	require.True(t, e.Permanent)
	require.Contains(t, e.Message, "results.items[1].price")
}

func TestUnknownClass(t *testing.T) {
	t.Parallel()
	d := runTemplate(t, "name: one\nstep_templates:\n  - {name: only, handler_class: Nowhere::ToBeFound}\n", nil)
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, 1, d.Steps[0].Attempts)
	require.Contains(t, d.Steps[0].Last().Err.Message, "Nowhere::ToBeFound")
}

// Handlers in Go and in Ruby can be steps of one task.
func TestGoAndRubyInOneTask(t *testing.T) {
	t.Parallel()
	_, err := host.Eval(t.Context(), `class ::Doubles < Tasker::StepHandler::Base
		def process(task, sequence, step) = { n: sequence.get_results("go_first")["n"] * 2 }
	end; nil`, "doubles.rb")
	require.NoError(t, err)
	first := orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return json.RawMessage(`{"n": 1180591620717411303424}`), nil
	})
	last := orchestration.StepHandlerFunc(func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		return x.Result(ctx, "ruby")
	})
	d := runTemplate(t, `name: mixed
step_templates:
  - {name: go_first, handler_class: GoFirst}
  - {name: ruby, handler_class: Doubles, depends_on_step: go_first}
  - {name: go_last, handler_class: GoLast, depends_on_step: ruby}
`, map[string]orchestration.StepHandler{"GoFirst": first, "GoLast": last})
	for _, s := range d.Steps {
		require.Equal(t, orchestration.StepComplete, s.State, "%s: %+v", s.Name, s.Last())
	}
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.JSONEq(t, `{"n":2361183241434822606848}`, string(d.Steps[2].Results()))
}

// Threads of a handler end with its step, unless its template keeps them.
func TestKeepThreadsOfTheTemplate(t *testing.T) {
	const body = `Thread.new { sleep }.name = "left by " + step.name; nil`
	left := func() string {
		out, err := host.Eval(t.Context(), `Thread.list.select { |t| t.name == "left by only" }.size`, "left.rb")
		require.NoError(t, err)
		return string(out)
	}
	for more, want := range map[string]string{"": "0", ", keep_threads: false": "0", ", keep_threads: true": "1"} {
		s := run(t, "LeavesAThread", body, more)
		require.Equal(t, orchestration.StepComplete, s.State, s.Last())
		require.Eventually(t, func() bool { return left() == want }, time.Minute, time.Millisecond, more)
		_, err := host.Eval(t.Context(), `Thread.list.each { |t| t.kill.join if t.name == "left by only" }; nil`, "left.rb")
		require.NoError(t, err)
	}
}

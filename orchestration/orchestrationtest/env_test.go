package orchestrationtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/orchestrationtest"
	"github.com/tasker-rb/tasker-rb/templates"
)

// charged counts the charges.
func charged(t testing.TB, env *orchestrationtest.Env) (n int) {
	t.Helper()
	require.NoError(t, env.Pool().QueryRow(t.Context(), "select count(*) from charges").Scan(&n))
	return n
}

// Each fault leaves the step's SQL committed once. The number of attempts and what is
// recorded of the first one tell them apart.
func TestEveryFaultLeavesOneCharge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    func(*orchestrationtest.Env)
		outcomes []string
	}{
		"none":                             {func(*orchestrationtest.Env) {}, []string{"complete"}},
		"fails twice":                      {func(e *orchestrationtest.Env) { e.Fail("charge", 2, errors.New("no")) }, []string{"error", "error", "complete"}},
		"crash before":                     {func(e *orchestrationtest.Env) { e.Crash("charge", orchestrationtest.Before) }, []string{"lost", "complete"}},
		"crash during":                     {func(e *orchestrationtest.Env) { e.Crash("charge", orchestrationtest.During) }, []string{"lost", "complete"}},
		"crash after":                      {func(e *orchestrationtest.Env) { e.Crash("charge", orchestrationtest.After) }, []string{"complete"}},
		"connection lost at the statement": {func(e *orchestrationtest.Env) { e.LoseConnection("charge", orchestrationtest.Before) }, []string{"error", "complete"}},
		"connection lost at the commit":    {func(e *orchestrationtest.Env) { e.LoseConnection("charge", orchestrationtest.During) }, []string{"lost", "complete"}},
		"answer to the commit lost":        {func(e *orchestrationtest.Env) { e.LoseConnection("charge", orchestrationtest.After) }, []string{"complete"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := orchestrationtest.New(t, config(), tables)
			c.fault(env)
			task := env.Run(t, shop(t), order{Cents: 1250})
			orchestrationtest.RequireComplete(t, task)
			var outcomes []string
			for _, a := range orchestrationtest.RequireStep(t, task, "charge", orchestration.StepComplete).History {
				outcomes = append(outcomes, a.Outcome)
			}
			require.Equal(t, c.outcomes, outcomes)
			require.Equal(t, 1, charged(t, env))
			require.Equal(t, "thank you for 1250 cents", orchestrationtest.ResultOf[string](t, task, "thank"))
		})
	}
}

// Waits of days take no time, and the clock shows that they were waited for.
func TestWaitsAreSkipped(t *testing.T) {
	t.Parallel()
	env := orchestrationtest.New(t, config(), tables)
	began, real := env.Now(), time.Now()
	env.Fail("charge", 3, errors.New("no"))
	orchestrationtest.RequireComplete(t, env.Run(t, shop(t), order{}))
	require.Equal(t, 7*24*time.Hour, env.Now().Sub(began))

	later, err := env.Engine().Submit(t.Context(), orchestration.Submission{
		Template: shop(t), Context: json.RawMessage(`{"cents": 1}`), RunAt: env.Now().Add(1000 * time.Hour)})
	require.NoError(t, err)
	orchestrationtest.RequireComplete(t, env.Finish(t, later.TaskID))
	require.Equal(t, 1168*time.Hour, env.Now().Sub(began))

	wait := 4 * time.Minute
	env.Fail("charge", 1, &orchestration.StepError{Class: "Busy", RetryAfter: &wait})
	orchestrationtest.RequireComplete(t, env.Run(t, shop(t), order{}))
	require.Equal(t, 1168*time.Hour+wait, env.Now().Sub(began))
	require.Less(t, time.Since(real), time.Hour)
}

// A worker skips waits, too.
func TestAWorkerSkipsWaits(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	env := orchestrationtest.New(t, config(func(c *orchestration.Config) {
		c.OnEvent = func(e orchestration.Event) {
			if e.Kind == orchestration.EventTaskEnded {
				ended <- struct{}{}
			}
		}
	}), tables)
	began := env.Now()
	env.Fail("charge", 2, errors.New("no"))
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- env.Work(ctx, orchestration.WorkerConfig{Poll: time.Hour}) }()
	_, err := env.Engine().Submit(t.Context(), orchestration.Submission{Template: shop(t), Context: json.RawMessage(`{"cents": 1}`)})
	require.NoError(t, err)
	<-ended
	require.Equal(t, 72*time.Hour, env.Now().Sub(began))
	stop()
	require.NoError(t, <-worked)
	require.Equal(t, 1, charged(t, env))
}

// A worker goes on after crashes, and no clock runs away meanwhile.
func TestAWorkerGoesOnAfterCrashes(t *testing.T) {
	t.Parallel()
	env := orchestrationtest.New(t, config(), tables)
	began := env.Now()
	for _, moment := range []orchestrationtest.Moment{orchestrationtest.Before, orchestrationtest.During, orchestrationtest.After} {
		env.Crash("charge", moment)
	}
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- env.Work(ctx, orchestration.WorkerConfig{}) }()
	task := env.Run(t, shop(t), order{Cents: 1})
	stop()
	require.NoError(t, <-worked)
	orchestrationtest.RequireComplete(t, task)
	require.Len(t, task.Steps[0].History, 3)
	// The worker may have looked at the task while env.Run was running it. Then it comes again
	// after 250 ms, which the clock skips.
	require.Less(t, env.Now().Sub(began), time.Second)
	require.Equal(t, 1, charged(t, env))
}

// While a handler runs, the clock stands still: its sibling's retry comes afterwards.
func TestTheClockWaitsForHandlers(t *testing.T) {
	t.Parallel()
	retried := make(chan struct{}, 2)
	var early atomic.Bool
	byClass := map[string]orchestration.StepHandler{
		"Slow": orchestration.Handle(func(context.Context, struct{}, *orchestration.StepExecution) (any, error) {
			<-retried // the first attempt of the other step
			select {
			case <-retried:
				early.Store(true)
			case <-time.After(50 * time.Millisecond):
			}
			return nil, nil
		}),
		"Flaky": orchestration.Handle(func(_ context.Context, _ struct{}, x *orchestration.StepExecution) (any, error) {
			retried <- struct{}{}
			if x.Attempt == 1 {
				return nil, errors.New("no")
			}
			return nil, nil
		}),
	}
	env := orchestrationtest.New(t, orchestration.Config{Handlers: orchestration.Handlers{ByClass: byClass}})
	template, err := templates.Parse([]byte(`
name: siblings
step_templates:
  - {name: slow, handler_class: Slow}
  - {name: flaky, handler_class: Flaky, default_retry_limit: 2, backoff: {curve: exponential, base_seconds: 60}}
`), "siblings.yaml")
	require.NoError(t, err)
	orchestrationtest.RequireComplete(t, env.Run(t, template, nil))
	require.False(t, early.Load())
}

// Tasks that run at the same time share the clock, and a permit that one of them waits for.
func TestTasksShareTheClock(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	env := orchestrationtest.New(t, orchestration.Config{Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
		"One": orchestration.Handle(func(_ context.Context, _ struct{}, x *orchestration.StepExecution) (any, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if x.Attempt < 3 {
				return nil, errors.New("no")
			}
			return nil, nil
		}),
	}}})
	template, err := templates.Parse([]byte(`
name: permits
step_templates:
  - {name: one, handler_class: One, default_retry_limit: 3, concurrency_key: k, concurrency_limit: 1, backoff: {curve: exponential, base_seconds: 3600, max_seconds: 3600}}
`), "permits.yaml")
	require.NoError(t, err)
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			orchestrationtest.RequireComplete(t, env.Run(t, template, nil))
			require.EqualValues(t, 1, most.Load())
		})
	}
}

// A crash ends the tasks of the engine beside the one that it was asked for. All of them
// go on with the next engine.
func TestACrashMeetsAllTasksOfTheEngine(t *testing.T) {
	t.Parallel()
	env := orchestrationtest.New(t, config(), tables)
	for _, moment := range []orchestrationtest.Moment{orchestrationtest.Before, orchestrationtest.During, orchestrationtest.After} {
		env.Crash("charge", moment)
		env.Crash("thank", moment)
	}
	const tasks = 8
	t.Run("tasks", func(t *testing.T) {
		for i := range tasks {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				orchestrationtest.RequireComplete(t, env.Run(t, shop(t), order{}))
			})
		}
	})
	require.Equal(t, tasks, charged(t, env))
}

// What a dropped engine returns late is refused.
func TestALateResultOfADroppedEngineIsRefused(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	begun, release := make(chan struct{}), make(chan struct{})
	byClass := map[string]orchestration.StepHandler{
		"Charge": orchestration.Handle(func(ctx context.Context, in order, x *orchestration.StepExecution) (int64, error) {
			<-begun // the engine is dropped after this handler, and then the other one must run
			return charge(ctx, in, x)
		}),
		"Thank": orchestration.Handle(thank),
		"Slow": orchestration.Handle(func(ctx context.Context, in order, x *orchestration.StepExecution) (int64, error) {
			if calls.Add(1) == 1 {
				close(begun)
				<-release // it does not listen to its context
			}
			return charge(ctx, in, x)
		}),
	}
	env := orchestrationtest.New(t, orchestration.Config{Handlers: orchestration.Handlers{ByClass: byClass}, Grace: time.Millisecond}, tables)
	template, err := templates.Parse([]byte(`
name: late
step_templates:
  - {name: slow, handler_class: Slow}
  - {name: charge, handler_class: Charge}
`), "late.yaml")
	require.NoError(t, err)
	env.Crash("charge", orchestrationtest.During)
	env.Fail("charge", 1, errors.New("no")) // the clock goes on, although a dropped handler runs
	task := env.Run(t, template, order{})
	orchestrationtest.RequireComplete(t, task)
	close(release)
	require.Equal(t, 2, charged(t, env))
}

// A fault that was never met, and a task that is not as it should be, fail the test and say
// why.
func TestFailuresSayWhy(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.ctx = t.Context()
	env := orchestrationtest.New(r, config(), tables)
	env.Crash("chrage", orchestrationtest.During)
	env.Fail("charge", 1, &orchestration.StepError{Class: "Declined", Message: "no money", Permanent: true})
	task := env.Run(r, shop(t), order{})
	for _, assertion := range []func(){
		func() { orchestrationtest.RequireComplete(r, task) },
		func() { orchestrationtest.RequireStep(r, task, "charge", orchestration.StepComplete) },
		func() { orchestrationtest.RequireStep(r, task, "chrage", orchestration.StepComplete) },
		func() { orchestrationtest.ResultOf[int](r, task, "thank") },
	} {
		require.PanicsWithValue(t, errEnded, assertion)
	}
	r.end()
	said := []string{
		"is in state error:\n  charge: error after 1 attempts, Declined: no money\n  thank: pending after 0 attempts",
		"step charge is in state error and not in complete:",
		"has no step chrage:",
		"step thank is in state pending and not in complete:",
		"faults of step chrage that no attempt has met: 1",
	}
	require.Len(t, r.failures, len(said))
	for i, part := range said {
		require.Contains(t, r.failures[i], part)
	}
}

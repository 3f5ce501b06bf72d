package orchestration_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

var ops = orchestration.By{Actor: "ops", Reason: "the gateway is back"}

func failing(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
	return nil, &orchestration.StepError{Class: "Gateway::Down", Message: "no route"}
}

// failUnless returns a handler that fails while the switch is off.
func failUnless(ok *atomic.Bool) orchestration.StepHandlerFunc {
	return func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if !ok.Load() {
			return failing(ctx, x)
		}
		return json.RawMessage(`"done"`), nil
	}
}

func (b *bundle) rerun(t *testing.T, id int64) *orchestration.TaskDetail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := b.Run(ctx, id)
	require.NoError(t, err)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	return d
}

func TestRetryTaskGivesAllAttemptsAgain(t *testing.T) {
	t.Parallel()
	var ok atomic.Bool
	b := engine(t, funcs{"B": failUnless(&ok)})
	d := b.run(t, template(t, "a:\nb: a\nc: b", "default_retry_limit: 2"))
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, 2, step(t, d, "b").Attempts)

	require.NoError(t, b.RetryTask(t.Context(), d.TaskID, ops))
	d = b.rerun(t, d.TaskID) // it fails twice more
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, 2, step(t, d, "b").Attempts)
	require.Len(t, step(t, d, "b").History, 4)

	ok.Store(true)
	require.NoError(t, b.RetryTask(t.Context(), d.TaskID, ops))
	d = b.rerun(t, d.TaskID)
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Equal(t, 1, step(t, d, "b").Attempts)
	require.Len(t, step(t, d, "a").History, 1, "what is done stays done")

	var byHand []orchestration.Transition
	for _, w := range append(d.Transitions, step(t, d, "b").Transitions...) {
		if w.Actor == "ops" {
			byHand = append(byHand, w)
		}
	}
	require.Len(t, byHand, 4)
	require.Equal(t, "retried by hand: the gateway is back", byHand[0].Reason)
}

func TestRetryStepDoesNotWaitForItsBackoff(t *testing.T) {
	t.Parallel()
	var ok atomic.Bool
	hour := time.Hour
	b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if ok.Load() {
			return nil, nil
		}
		return nil, &orchestration.StepError{Class: "Busy", RetryAfter: &hour}
	}})
	id := b.submit(t, template(t, "a:", ""), "{}")
	out, err := b.Handle(t.Context(), id)
	require.NoError(t, err)
	require.False(t, out.Next.IsZero())
	ok.Store(true)
	// The retry also wakes a Run that waits.
	ended := make(chan orchestration.TaskState, 1)
	go func() {
		out, err := b.Run(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- out.State
	}()
	b.waitFor(t, orchestration.EventTaskWaiting)
	require.NoError(t, b.RetryStep(t.Context(), id, "a", ops))
	require.Equal(t, orchestration.TaskComplete, <-ended)
}

func TestResolvedResultsReachTheChildren(t *testing.T) {
	t.Parallel()
	var seen json.RawMessage
	b := engine(t, funcs{
		"A": failing,
		"B": func(ctx context.Context, x *orchestration.StepExecution) (_ json.RawMessage, err error) {
			seen, err = x.Result(ctx, "a")
			return nil, err
		},
	})
	d := b.run(t, template(t, "a:\nb: a", "default_retry_limit: 1"))
	require.Equal(t, orchestration.TaskInError, d.State)
	require.NoError(t, b.ResolveStep(t.Context(), d.TaskID, "a", json.RawMessage(`{"paid":1e400}`), ops))
	d = b.rerun(t, d.TaskID)
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Equal(t, orchestration.StepResolvedManually, step(t, d, "a").State)
	require.Equal(t, `{"paid":1e400}`, string(seen))
	require.Equal(t, `{"paid":1e400}`, string(step(t, d, "a").Results()))
}

// A person resolves the last open step. The task is complete when an engine next looks
// at it.
func TestResolveTheLastStep(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"B": failing})
	d := b.run(t, template(t, "a:\nb: a", "default_retry_limit: 1"))
	require.NoError(t, b.ResolveStep(t.Context(), d.TaskID, "b", json.RawMessage(`null`), ops))
	require.Equal(t, orchestration.TaskComplete, b.rerun(t, d.TaskID).State)
}

func TestResolveTask(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"A": failing})
	d := b.run(t, template(t, "a:\nb: a", "default_retry_limit: 1"))
	require.NoError(t, b.ResolveTask(t.Context(), d.TaskID, ops))
	d = b.rerun(t, d.TaskID)
	require.Equal(t, orchestration.TaskResolvedManually, d.State)
	require.Equal(t, orchestration.StepInError, step(t, d, "a").State)
}

// A cancel interrupts the running handler and rolls its SQL back.
func TestCancelTaskInterruptsHandlers(t *testing.T) {
	t.Parallel()
	begun, cause := make(chan struct{}, 1), make(chan error, 1)
	b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "insert into ledger values (1)"); err != nil {
			return nil, err
		}
		begun <- struct{}{}
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return json.RawMessage(`"too late"`), nil
	}})
	_, err := b.pool.Exec(t.Context(), "create table ledger (n int)")
	require.NoError(t, err)
	other := engineOn(t, b.pool, nil)
	id := b.submit(t, template(t, "a:\nb: a", ""), "{}")
	ended := make(chan orchestration.TaskState, 1)
	go func() {
		out, err := b.Run(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- out.State
	}()
	<-begun
	require.NoError(t, other.CancelTask(t.Context(), id, ops))
	require.Error(t, <-cause)
	require.Equal(t, orchestration.TaskCancelled, <-ended)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, map[string]orchestration.StepState{"a": orchestration.StepCancelled, "b": orchestration.StepCancelled}, states(d))
	require.Equal(t, "cancelled", step(t, d, "a").History[0].Outcome)
	require.Nil(t, step(t, d, "a").Results())
	var n int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*) from ledger").Scan(&n))
	require.Zero(t, n)
}

// A cancelled step blocks the steps that depend on it. All others run.
func TestCancelStepKeepsIndependentSteps(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	b := engine(t, funcs{"B": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}, "C": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		<-finish
		return nil, nil
	}})
	id := b.submit(t, template(t, "a:\nb: a\nc: a\nd: b\ne: c", ""), "{}")
	ended := make(chan orchestration.TaskState, 1)
	go func() {
		out, err := b.Run(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- out.State
	}()
	<-begun
	require.NoError(t, b.CancelStep(t.Context(), id, "b", ops))
	b.waitFor(t, orchestration.EventStepCancelled)
	close(finish)
	require.Equal(t, orchestration.TaskCancelled, <-ended)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, map[string]orchestration.StepState{
		"a": orchestration.StepComplete, "b": orchestration.StepCancelled, "c": orchestration.StepComplete,
		"d": orchestration.StepPending, "e": orchestration.StepComplete,
	}, states(d))
}

// A person retries a failed step while another branch runs. The step starts at once, and
// the task does not end on the engine's older state.
func TestRetryWhileTheTaskRuns(t *testing.T) {
	t.Parallel()
	var ok atomic.Bool
	finish := make(chan struct{})
	b := engine(t, funcs{"A": failUnless(&ok), "B": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		<-finish
		return nil, nil
	}})
	id := b.submit(t, template(t, "a:\nb:", "default_retry_limit: 1"), "{}")
	ended := make(chan orchestration.TaskState, 1)
	go func() {
		out, err := b.Run(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- out.State
	}()
	b.waitFor(t, orchestration.EventStepFailed)
	ok.Store(true)
	require.NoError(t, b.RetryStep(t.Context(), id, "a", ops))
	b.waitFor(t, orchestration.EventStepCompleted)
	close(finish)
	require.Equal(t, orchestration.TaskComplete, <-ended)
}

func TestRefusedOperations(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": failing})
	complete := b.run(t, template(t, "a:", "")).TaskID
	inError := b.run(t, template(t, "good:\nbad:", "default_retry_limit: 1")).TaskID
	pending := b.submit(t, template(t, "a:", ""), "{}")
	cancelled := b.submit(t, template(t, "a:", ""), "{}")
	require.NoError(t, b.CancelTask(t.Context(), cancelled, ops))
	null := json.RawMessage("null")
	for name, c := range map[string]struct {
		err     error
		message string
	}{
		"retry a complete task":     {b.RetryTask(t.Context(), complete, ops), "is complete: only a task that ended in error"},
		"retry a pending task":      {b.RetryTask(t.Context(), pending, ops), "is pending"},
		"retry a cancelled task":    {b.RetryTask(t.Context(), cancelled, ops), "is cancelled"},
		"cancel a complete task":    {b.CancelTask(t.Context(), complete, ops), "it has ended"},
		"cancel twice":              {b.CancelTask(t.Context(), cancelled, ops), "it has ended"},
		"resolve a complete task":   {b.ResolveTask(t.Context(), complete, ops), "is complete"},
		"resolve a complete step":   {b.ResolveStep(t.Context(), inError, "good", null, ops), `step "good" of task`},
		"retry a complete step":     {b.RetryStep(t.Context(), inError, "good", ops), "only a failed or a waiting step"},
		"retry a pending step":      {b.RetryStep(t.Context(), pending, "a", ops), "is pending"},
		"step of a complete task":   {b.RetryStep(t.Context(), complete, "a", ops), "cannot run any more"},
		"step of a cancelled task":  {b.ResolveStep(t.Context(), cancelled, "a", null, ops), "cannot run any more"},
		"cancel step of ended task": {b.CancelStep(t.Context(), inError, "bad", ops), "while its task has not ended"},
		"results not JSON":          {b.ResolveStep(t.Context(), inError, "bad", json.RawMessage("{"), ops), "not valid JSON"},
		"results with a NUL":        {b.ResolveStep(t.Context(), inError, "bad", json.RawMessage(`"\u0000"`), ops), "NUL"},
		"no results":                {b.ResolveStep(t.Context(), inError, "bad", nil, ops), "they are empty"},
		"nobody":                    {b.RetryTask(t.Context(), inError, orchestration.By{}), "Actor is empty"},
	} {
		require.ErrorIs(t, c.err, orchestration.ErrRefused, name)
		require.ErrorContains(t, c.err, c.message, name)
	}
	require.ErrorIs(t, b.RetryTask(t.Context(), 404, ops), orchestration.ErrTaskNotFound)
	err := b.RetryStep(t.Context(), inError, "bda", ops)
	require.ErrorIs(t, err, orchestration.ErrStepNotFound)
	require.Contains(t, errors.FlattenHints(err), "good, bad")
	d, err := b.Task(t.Context(), inError)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInError, d.State, "a refusal changes nothing")
}

// A person retries a step between its failure and the end of its task. The engine does
// not know of that yet, and must not end the task.
func TestRetryBeforeTheTaskEndsKeepsItOpen(t *testing.T) {
	t.Parallel()
	var ok atomic.Bool
	var b *bundle
	b = engine(t, funcs{"A": failUnless(&ok)}, func(c *orchestration.Config) {
		c.OnEvent = func(e orchestration.Event) {
			if e.Kind == orchestration.EventStepFailed && !ok.Swap(true) {
				if err := b.RetryStep(t.Context(), e.TaskID, e.Step, ops); err != nil {
					t.Error(err)
				}
			}
		}
	})
	d := b.run(t, template(t, "a:", "default_retry_limit: 1"))
	require.Equal(t, orchestration.TaskComplete, d.State)
	for _, w := range d.Transitions {
		require.NotEqual(t, "error", w.To)
	}
}

// PostgreSQL ends an operation to resolve a deadlock. The operation is repeated.
func TestDeadlockedOperationIsRepeated(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	id := b.submit(t, template(t, "a:\nb:\nc:", ""), "{}")
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	conns := configured(t, b.pool, func(c *pgxpool.Config) { c.MaxConns = 4 })
	begin := func() pgx.Tx {
		tx, err := conns.Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		return tx
	}
	lock := func(tx pgx.Tx, step int) error {
		_, err := tx.Exec(t.Context(), "select from tasker.steps where step_id = $1 for update", d.Steps[step].StepID)
		return err
	}
	waiting := func() (n int) {
		require.NoError(t, conns.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n))
		return n
	}
	// PostgreSQL looks for a deadlock once in a wait, some time after that has begun. So the
	// wait that closes the circle is the operation's: for the last step, after it has waited
	// for the second one until the other transaction waits for the first.
	second := begin()
	require.NoError(t, lock(second, 1))
	cancelled, locked := make(chan error, 1), make(chan error, 1)
	go func() { cancelled <- b.CancelTask(context.WithoutCancel(t.Context()), id, ops) }()
	for circle := false; !circle; { // the operation waits for two seconds, and then tries again
		last := begin()
		_, err = last.Exec(t.Context(), "set local deadlock_timeout = '10 min'") // so that PostgreSQL ends the operation
		require.NoError(t, err)
		require.NoError(t, lock(last, 2))
		require.Eventually(t, func() bool { return waiting() == 1 }, patience, time.Millisecond)
		go func() { locked <- lock(last, 0) }()
		require.Eventually(t, func() bool {
			circle = waiting() == 2
			return circle || len(locked) > 0
		}, patience, time.Millisecond)
		if circle {
			require.NoError(t, second.Rollback(t.Context()))
		}
		require.NoError(t, <-locked)
		require.NoError(t, last.Rollback(t.Context()))
	}
	require.NoError(t, <-cancelled)
	require.Equal(t, 1, b.inState(t, orchestration.TaskCancelled))
}

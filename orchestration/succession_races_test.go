package orchestration_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// stateOf reads the state of a step.
func (b *bundle) stateOf(t *testing.T, task int64, name string) (state orchestration.StepState) {
	t.Helper()
	err := b.pool.QueryRow(context.WithoutCancel(t.Context()),
		"select state from tasker.steps where task_id = $1 and name = $2", task, name).Scan(&state)
	require.NoError(t, err)
	return state
}

// ledgerTable makes the table that the handler ledger writes to.
func ledgerTable(t *testing.T, b *bundle) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
}

// lockStep locks a step, as an operator's transaction does, until the returned one ends.
func (b *bundle) lockStep(t *testing.T, task int64, name string) pgx.Tx {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	_, err = tx.Exec(t.Context(), "select from tasker.steps where task_id = $1 and name = $2 for no key update", task, name)
	require.NoError(t, err)
	return tx
}

// A step is claimed with the success of another one, and a person cancels it before the
// engine has heard of the claim. The engine reads the cancel first. The step must not
// begin.
func TestAStepThatWasCancelledBeforeItsClaimWasHeardOfDoesNotBegin(t *testing.T) {
	t.Parallel()
	const tasks = 16 // which of the two is heard of first is a matter of chance
	type gate struct{ busy, goOn chan struct{} }
	var gates sync.Map // by task
	var began atomic.Int32
	gateOf := func(task int64) *gate {
		g, _ := gates.LoadOrStore(task, &gate{make(chan struct{}), make(chan struct{})})
		return g.(*gate)
	}
	b := engine(t, funcs{
		"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			<-gateOf(x.TaskID).busy
			return nil, nil
		},
		"B": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			began.Add(1)
			return nil, nil
		},
	}, func(c *orchestration.Config) {
		c.OnEvent = func(e orchestration.Event) { // the task's loop is busy until it returns
			if e.Kind == orchestration.EventStepCompleted && e.Step == "x" {
				g := gateOf(e.TaskID)
				close(g.busy)
				<-g.goOn
			}
		}
	})
	tpl := template(t, "a:\nx:\nb: a", "")
	var ids []int64
	ended := make(chan error, tasks+1)
	run := func(id int64) {
		_, err := b.Run(t.Context(), id)
		ended <- err
	}
	for range tasks {
		id := b.submit(t, tpl, "{}")
		ids = append(ids, id)
		go run(id)
	}
	by := orchestration.By{Actor: "ann"}
	for _, id := range ids {
		require.Eventually(t, func() bool { return b.stateOf(t, id, "b") == orchestration.StepInProgress }, patience, time.Millisecond)
		require.NoError(t, b.CancelStep(t.Context(), id, "b", by))
	}
	later, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, RunAt: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	go run(later.TaskID)
	require.Eventually(t, func() bool { // its notification comes after the others
		select {
		case err := <-ended:
			require.NoError(t, err)
			return true
		default:
			if d, err := b.Task(t.Context(), later.TaskID); err == nil && !d.State.Final() {
				require.NoError(t, b.CancelTask(t.Context(), later.TaskID, by))
			}
			return false
		}
	}, patience, 10*time.Millisecond)
	for _, id := range ids {
		close(gateOf(id).goOn)
	}
	for range ids {
		require.NoError(t, <-ended)
	}
	require.Zero(t, began.Load(), "cancelled steps have begun")
	for _, id := range ids {
		d, err := b.Task(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, orchestration.TaskCancelled, d.State)
		require.Equal(t, 1, step(t, d, "b").Attempts)
	}
}

// An operator locks the steps of a task in the order of their numbers. A success that takes
// a claim along locks its own step first, and the next one may have a smaller number. So it
// must not wait for that one: PostgreSQL would end the step's transaction.
func TestASuccessDoesNotWaitForTheStepsItClaims(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"SQL", "no SQL"} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			locked := make(chan struct{})
			b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				<-locked
				if with == "SQL" {
					return ledger(ctx, x)
				}
				return nil, nil
			}})
			ledgerTable(t, b)
			id := b.submit(t, template(t, "b: a\na:", "default_retryable: false"), "{}")
			ended := make(chan error, 1)
			go func() {
				_, err := b.Run(t.Context(), id)
				ended <- err
			}()
			require.Eventually(t, func() bool { return b.stateOf(t, id, "a") == orchestration.StepInProgress }, patience, time.Millisecond)
			operator := b.lockStep(t, id, "b")
			close(locked)
			require.Eventually(t, func() bool { return b.stateOf(t, id, "a") == orchestration.StepComplete }, patience, time.Millisecond)
			require.NoError(t, operator.Rollback(t.Context()))
			require.NoError(t, <-ended)
			d, err := b.Task(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, orchestration.TaskComplete, d.State)
			require.Len(t, step(t, d, "b").History, 1)
		})
	}
}

// The claim of one step is under way when another step succeeds. The success takes no more
// claims along than there is room for besides.
func TestASuccessLeavesRoomForAClaimThatIsUnderWay(t *testing.T) {
	t.Parallel()
	claiming, goOn := make(chan struct{}), make(chan struct{})
	wait := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		<-goOn
		return nil, nil
	}
	b := engine(t, funcs{
		"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			<-claiming
			return ledger(ctx, x)
		}, "C": wait, "D": wait, "K": wait,
	}, mayLogErrors, func(c *orchestration.Config) { c.MaxParallelSteps = 2 })
	ledgerTable(t, b)
	id := b.submit(t, parse(t, `
  - {name: a, handler_class: A}
  - {name: x, handler_class: X}
  - {name: k, handler_class: K, concurrency_key: key, concurrency_limit: 1}
  - {name: c, handler_class: C, depends_on_steps: [a]}
  - {name: d, handler_class: D, depends_on_steps: [a]}
`), "{}")
	claim := b.lockStep(t, id, "k")
	ended := make(chan error, 1)
	go func() {
		_, err := b.Run(t.Context(), id)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		var waits bool
		return b.pool.QueryRow(t.Context(), "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())").Scan(&waits) == nil && waits
	}, patience, time.Millisecond, "the claim of k is under way")
	close(claiming)
	require.Eventually(t, func() bool { return b.stateOf(t, id, "a") == orchestration.StepComplete }, patience, time.Millisecond)
	var running int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*) from tasker.steps where task_id = $1 and state = 'in_progress'", id).Scan(&running))
	require.Equal(t, 1, running, "claimed with the success of a, besides k")
	require.NoError(t, claim.Rollback(t.Context()))
	close(goOn)
	require.NoError(t, <-ended)
}

package orchestration_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A worker's session is killed. Within seconds another worker takes its tasks over, and
// the late results of the first change nothing.
func TestTasksOfAWorkerWithoutSessionAreTakenOver(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 8), make(chan struct{})
	first := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-finish
		return json.RawMessage(`"late"`), nil
	}}, func(c *orchestration.Config) { c.MaxParallelSteps = 1 })
	id := first.submit(t, template(t, "a:", ""), "{}")
	stop := first.work(t, orchestration.WorkerConfig{Poll: time.Hour, MaxTasks: 1})
	<-begun
	_, err := first.pool.Exec(t.Context(), `select pg_terminate_backend(backend_pid) from tasker.workers`)
	require.NoError(t, err)
	second := engineOn(t, first.pool, funcs{"A": value(`"second"`)})
	second.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond})
	second.waitForTasks(t, orchestration.TaskComplete, 1)
	close(finish)
	stop()
	d, err := second.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, `"second"`, string(step(t, d, "a").Results()))
	require.Equal(t, []string{"lost", "complete"}, []string{step(t, d, "a").History[0].Outcome, step(t, d, "a").History[1].Outcome})
}

// A dead worker's task is locked by another transaction. The round does not wait for
// it: the worker still finds a task that no notification told it of.
func TestALockedTaskHoldsUpNoRound(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	later := orchestration.Submission{Template: template(t, "a:", ""), RunAt: time.Now().Add(time.Hour)}
	tasks, err := b.SubmitMany(t.Context(), many(3, later))
	require.NoError(t, err)
	locked, free, quiet := tasks[0].TaskID, tasks[1].TaskID, tasks[2].TaskID

	// The holder of two tasks is an engine that no row knows.
	_, err = b.pool.Exec(t.Context(), "update tasker.queue set held_by = 900000, begun = true, ready = true where task_id = any($1)", []int64{locked, free})
	require.NoError(t, err)
	lock, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), "select from tasker.queue where task_id = $1 for update", locked)
	require.NoError(t, err)
	held := func(id int64) (is bool) {
		require.NoError(t, b.pool.QueryRow(t.Context(), "select exists (select from tasker.queue where task_id = $1 and held_by is not null)", id).Scan(&is))
		return is
	}

	stop := b.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond})
	require.Eventually(t, func() bool { return !held(free) }, patience, 5*time.Millisecond, "the round frees the other task")
	require.True(t, held(locked))
	_, err = b.pool.Exec(t.Context(), "with k as (update tasker.tasks set run_at = now() where task_id = $1 returning task_id) update tasker.queue q set due_at = now() from k where q.task_id = k.task_id", quiet)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.inState(t, orchestration.TaskComplete) > 0 }, patience, 5*time.Millisecond)
	require.True(t, held(locked))
	require.NoError(t, lock.Rollback(t.Context()))
	require.Eventually(t, func() bool { return !held(locked) }, patience, 5*time.Millisecond, "a round frees the task")
	stop()
}

// An engine that lost its session has lost its claims. Another engine takes the step
// over, and the late result changes nothing.
func TestLostClaimIsTakenOver(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	slow := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "insert into ledger values ('first')"); err != nil {
			return nil, err
		}
		begun <- struct{}{}
		<-finish
		return json.RawMessage(`"late"`), nil
	}
	first := engine(t, funcs{"A": slow})
	_, err := first.pool.Exec(t.Context(), "create table ledger (who text)")
	require.NoError(t, err)
	id := first.submit(t, template(t, "a:\nb: a", ""), "{}")
	ended := make(chan orchestration.Outcome, 1)
	go func() {
		out, err := first.Run(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- out
	}()
	<-begun
	_, err = first.pool.Exec(t.Context(), `select pg_terminate_backend(backend_pid) from tasker.workers`)
	require.NoError(t, err)
	second := engineOn(t, first.pool, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "insert into ledger values ('second')")
		return json.RawMessage(`"second"`), err
	}})
	out, err := second.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
	close(finish)
	require.Equal(t, orchestration.TaskComplete, (<-ended).State)
	d, err := second.Task(t.Context(), id)
	require.NoError(t, err)
	a := step(t, d, "a")
	require.Equal(t, `"second"`, string(a.Results()))
	require.Equal(t, 2, a.Attempts)
	require.Equal(t, "lost", a.History[0].Outcome)
	var who []string
	require.NoError(t, first.pool.QueryRow(t.Context(), "select array_agg(who) from ledger").Scan(&who))
	require.Equal(t, []string{"second"}, who)
}

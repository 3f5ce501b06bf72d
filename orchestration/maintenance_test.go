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
	_, err := first.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 1952543595
		and database = (select oid from pg_database where datname = current_database())`)
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

// A round waits for a lock on a dead worker's task. The worker still finds a task that
// no notification told it of.
func TestWorkerLeasesWhileARoundWaits(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	later := orchestration.Submission{Template: template(t, "a:", ""), RunAt: time.Now().Add(time.Hour)}
	tasks, err := b.SubmitMany(t.Context(), many(2, later))
	require.NoError(t, err)
	locked, quiet := tasks[0].TaskID, tasks[1].TaskID

	// The holder of the first task is an engine that dies while its task is locked.
	const holder = 900_000
	dying, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer dying.Release()
	_, err = dying.Exec(t.Context(), "select pg_advisory_lock(1952543595, $1)", holder)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), "update tasker.tasks set held_by = $1 where task_id = $2", holder, locked)
	require.NoError(t, err)
	lock, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), "select from tasker.tasks where task_id = $1 for update", locked)
	require.NoError(t, err)

	stop := b.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond})
	b.submit(t, later.Template, "{}")
	b.waitForTasks(t, orchestration.TaskComplete, 1) // the first round is over
	_, err = dying.Exec(t.Context(), "select pg_advisory_unlock(1952543595, $1)", holder)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var waits bool
		err := b.pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%set held_by = null%')`).Scan(&waits)
		return err == nil && waits
	}, 20*time.Second, 5*time.Millisecond, "the round waits for the lock")
	time.Sleep(200 * time.Millisecond) // some polls
	_, err = b.pool.Exec(t.Context(), "update tasker.tasks set run_at = now(), wake_at = now() where task_id = $1", quiet)
	require.NoError(t, err)
	b.waitForTasks(t, orchestration.TaskComplete, 2)
	require.NoError(t, lock.Rollback(t.Context()))
	require.Eventually(t, func() bool {
		var held bool
		err := b.pool.QueryRow(t.Context(), "select held_by is not null from tasker.tasks where task_id = $1", locked).Scan(&held)
		return err == nil && !held
	}, 20*time.Second, 5*time.Millisecond, "the round frees the task")
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
	_, err = first.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 1952543595
		and database = (select oid from pg_database where datname = current_database())`)
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

package orchestration_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// As many requests as are sent alone at a time wait for a lock that is never given back.
// Others get their turn all the same.
func TestRequestsThatWaitForALockKeepNoOtherOut(t *testing.T) {
	t.Parallel()
	const stuck = 8
	config := database(t).Config()
	config.MaxConns = 2 * stuck
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := engineOn(t, pool, nil)
	lock, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), "select pg_advisory_xact_lock(-1)")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting []<-chan error
	for range stuck {
		waiting = append(waiting, b.ExecAlone(ctx, "select pg_advisory_xact_lock(-1)"))
	}
	require.Eventually(t, func() bool {
		var n int
		return pool.QueryRow(t.Context(), `select count(*) from pg_locks
			where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`).Scan(&n) == nil && n == stuck
	}, patience, 5*time.Millisecond)
	select {
	case err := <-b.ExecAlone(t.Context(), "select 1"):
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the request has had no turn")
	}
	cancel()
	for _, answered := range waiting {
		require.Error(t, <-answered)
	}
}

// The row of one step is locked while its outcome is to be recorded. The outcomes of
// other steps do not wait for it, whatever group they are in.
func TestOneLockedRowHoldsUpNoOtherOutcome(t *testing.T) {
	t.Parallel()
	const tasks = 20
	begun, finish := make(chan int64, tasks), make(chan struct{})
	b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- x.StepID
		<-finish
		return json.RawMessage(`1`), nil
	}})
	_, err := b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, "a:", "default_retry_limit: 1")}))
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{})
	lock, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	for i := range tasks {
		if id := <-begun; i == 0 {
			_, err = lock.Exec(t.Context(), "select from tasker.steps where step_id = $1 for update", id)
			require.NoError(t, err)
		}
	}
	close(finish)
	b.waitForTasks(t, orchestration.TaskComplete, tasks-1)
	require.NoError(t, lock.Rollback(t.Context()))
	b.waitForTasks(t, orchestration.TaskComplete, tasks)
}

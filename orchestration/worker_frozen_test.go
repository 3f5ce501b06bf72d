package orchestration_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// lockRow locks a row that every step of the test wants.
func lockRow(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, "update totals set n = n + 1")
	return json.RawMessage(`1`), err
}

// lockAndHang is the handler of the worker that is frozen: it holds the lock meanwhile.
func lockAndHang(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	results, err := lockRow(ctx, x)
	if err == nil && x.Attempt == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return results, err
}

// freezeWithLock starts a worker in a process of its own, and freezes it while its step
// holds the lock. The test ends the process.
func freezeWithLock(t *testing.T, url string, pool *pgxpool.Pool) *exec.Cmd {
	t.Helper()
	frozen := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	frozen.Env = append(os.Environ(), workerVariable+"="+url)
	require.NoError(t, frozen.Start())
	t.Cleanup(func() {
		_ = frozen.Process.Kill()
		_ = frozen.Wait() // it was killed
	})
	require.Eventually(t, func() bool { // the step holds the lock
		var idle bool
		return pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
			where datname = current_database() and state = 'idle in transaction' and query like 'update totals%')`).Scan(&idle) == nil && idle
	}, patience, 5*time.Millisecond)
	daemon.Freeze(t, frozen.Process)
	return frozen
}

// databaseWithTotals makes a database with the row that lockRow locks.
func databaseWithTotals(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), "create table totals (n int); insert into totals values (0)")
	require.NoError(t, err)
	return url, pool
}

// Every connection of a worker's pool waits for the lock of a frozen worker. The frozen
// one is found dead all the same, and its lock freed.
func TestFrozenWorkerIsFoundWithoutAFreeConnection(t *testing.T) {
	t.Parallel()
	url, pool := databaseWithTotals(t)
	submitter := engineOn(t, pool, nil)
	submitter.submit(t, template(t, "lock:", "default_retry_limit: 1"), "{}")
	freezeWithLock(t, url, pool)
	require.NoError(t, submitter.Close()) // from here on, nobody else looks for dead engines
	const connections = 3
	config := pool.Config()
	config.MaxConns = connections
	small, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(small.Close)
	other := engineOn(t, small, funcs{"Lock": lockRow}, mayLogErrors)
	for range connections {
		other.submit(t, template(t, "lock:", "default_retry_limit: 1"), "{}")
	}
	other.work(t, orchestration.WorkerConfig{})
	other.pool = pool // for the test's own questions
	other.waitForTasks(t, orchestration.TaskComplete, connections+1)
}

// A worker is frozen while its step holds a row lock. Another one takes the step over,
// and ends the connections of the frozen one, so that it gets the lock. When the frozen
// worker goes on, it finds its claim lost, and takes tasks again.
func TestFrozenWorkerIsTakenOver(t *testing.T) {
	t.Parallel()
	url, pool := databaseWithTotals(t)
	submitter := engineOn(t, pool, nil)
	id := submitter.submit(t, template(t, "lock:", "default_retry_limit: 1"), "{}")

	frozen := freezeWithLock(t, url, pool)
	began := time.Now()
	other := engineOn(t, pool, funcs{"Lock": lockRow}, mayLogErrors)
	stop := other.work(t, orchestration.WorkerConfig{})
	other.waitForTasks(t, orchestration.TaskComplete, 1)
	t.Logf("taken over %v after the freeze", time.Since(began).Round(time.Millisecond))
	stop()
	d, err := other.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []string{"lost", "complete"}, outcomes(d.Steps[0]))

	// The frozen worker is the only one now.
	_, err = pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	require.NoError(t, frozen.Process.Signal(syscall.SIGCONT))
	submitter.submit(t, template(t, "a:", ""), "{}")
	submitter.waitForTasks(t, orchestration.TaskComplete, 2)
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), "select n from totals").Scan(&n))
	require.Equal(t, 1, n, "the frozen worker's change was rolled back")
	require.NoError(t, frozen.Process.Kill())
	_ = frozen.Wait()                   // it was killed
	require.Eventually(t, func() bool { // its backends end
		var n int
		return pool.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'tasker-rb:%'").Scan(&n) == nil && n == 0
	}, patience, 5*time.Millisecond)
}

package orchestration_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// The database shuts down or crashes while handlers are in the middle of their steps. In
// the end the ledger has each step's row once. That also holds for a server with
// asynchronous commits, which loses the last ones.
func TestEachStepCommitsOnceAcrossDatabaseRestarts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		commit string
	}{
		{"shut down", syscall.SIGINT, "on"},
		{"crashes", syscall.SIGQUIT, "on"},
		{"crashes and loses commits", syscall.SIGQUIT, "off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const tasks = 20
			pool, postmaster := privateDatabase(t, map[string]string{"synchronous_commit": c.commit})
			begun, restarted := make(chan struct{}, 4*tasks), make(chan struct{})
			middle := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				results, err := ledger(ctx, x)
				begun <- struct{}{}
				<-restarted
				return results, err
			}
			b := engineOn(t, pool, funcs{"A": ledger, "B": middle, "C": middle, "D": ledger}, mayLogErrors)
			_, err := pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
			require.NoError(t, err)
			made, err := b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "default_retry_limit: 50")}))
			require.NoError(t, err)
			_, err = pool.Exec(t.Context(), "checkpoint") // the tasks themselves are not to be lost
			require.NoError(t, err)
			b.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond})
			<-begun
			<-begun
			require.NoError(t, syscall.Kill(postmaster, c.signal))
			require.Eventually(t, func() bool { // a new server runs
				pid, err := postmasterOf(t.Context(), pool)
				return err == nil && pid != postmaster
			}, patience, 10*time.Millisecond)
			close(restarted)
			for b.alive(t) > 0 {
				time.Sleep(10 * time.Millisecond) // between two polls
			}
			require.Equal(t, tasks, b.inState(t, orchestration.TaskComplete))
			var rows, distinct int
			require.NoError(t, pool.QueryRow(t.Context(), "select count(*), count(distinct (task, step)) from ledger").Scan(&rows, &distinct))
			require.Equal(t, []int{4 * tasks, 4 * tasks}, []int{rows, distinct})
			failed := 0
			for _, m := range made {
				d, err := b.Task(t.Context(), m.TaskID)
				require.NoError(t, err)
				for _, s := range d.Steps {
					failed += len(s.History) - 1
					requireChain(t, s.Transitions, string(s.State), orchestration.StepTransitions)
				}
			}
			if c.commit == "on" { // with lost commits, the interrupted attempts may be lost too
				require.Positive(t, failed, "no attempt was hit")
			}
		})
	}
}

// privateDatabase starts a server for this test alone. It also returns the process
// number of the server.
func privateDatabase(t *testing.T, settings map[string]string) (*pgxpool.Pool, int) {
	t.Helper()
	server, err := localpg.Start(t.Context(), pgtest.Ephemeral(settings))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	pool, err := pgxpool.New(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(pgx.Tx) error { return nil }))
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	require.NoError(t, conn.Close(t.Context()))
	// localpg does not restart a server that dies within its first second.
	require.Eventually(t, func() bool {
		var long bool
		return pool.QueryRow(t.Context(), "select clock_timestamp() - pg_postmaster_start_time() > '1.2 s'").Scan(&long) == nil && long
	}, patience, 10*time.Millisecond)
	postmaster, err := postmasterOf(t.Context(), pool)
	require.NoError(t, err)
	return pool, postmaster
}

// postmasterOf uses a connection of its own, because handlers may use all connections of
// the pool.
func postmasterOf(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var file string
	if err := conn.QueryRow(ctx, "select pg_read_file('postmaster.pid')").Scan(&file); err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(file, "\n")
	return strconv.Atoi(first)
}

// Connections are killed at random while tasks run. In the end the ledger has each
// step's row once.
func TestEachStepCommitsOnceAcrossLostConnections(t *testing.T) {
	t.Parallel()
	const tasks = 100
	b := engine(t, funcs{"A": ledger, "B": ledger, "C": ledger, "D": ledger}, mayLogErrors)
	_, err := b.pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	_, err = b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "default_retry_limit: 50")}))
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond, MaxTasks: 8})
	for i := 0; b.alive(t) > 0; i++ {
		// All other backends of this database.
		if i < 20 {
			_, _ = b.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from (
				select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() order by random() limit 2) x`)
		}
		time.Sleep(10 * time.Millisecond) // the pace of the killing
	}
	b.pool.Reset() // an idle connection may be among the killed ones
	require.Equal(t, tasks, b.inState(t, orchestration.TaskComplete))
	var rows, distinct int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*), count(distinct (task, step)) from ledger").Scan(&rows, &distinct))
	require.Equal(t, []int{4 * tasks, 4 * tasks}, []int{rows, distinct})
}

// alive counts the tasks that have not ended. It works while connections die.
func (b *bundle) alive(t *testing.T) (n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.pool.QueryRow(t.Context(), "select count(*) from tasker.tasks where state in ('pending', 'in_progress')").Scan(&n) == nil
	}, patience, time.Millisecond)
	return n
}

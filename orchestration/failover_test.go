package orchestration_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgfailover"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// failovers is how often the primary dies in TestFailovers; FAILOVERS sets another
// number.
func failovers(t *testing.T) int {
	text := os.Getenv("FAILOVERS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// The primary dies again and again, and a replica that lags behind takes its place, on
// the same address. Commits that the engine takes for done are lost. In the end all
// tasks are complete, and the ledger has each step's row once.
func TestFailovers(t *testing.T) {
	t.Parallel()
	const tasks = 100
	pair := pgfailover.Start(t, map[string]string{"synchronous_commit": "local"})
	config, err := pgxpool.ParseConfig(pair.URL())
	require.NoError(t, err)
	orchestration.ConfigurePool(config)
	config.MaxConns = 16
	conn, err := pgx.Connect(t.Context(), pair.URL())
	require.NoError(t, err)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	_, err = conn.Exec(t.Context(), "create table ledger (task bigint, step text, at timestamptz default clock_timestamp())")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := engineOn(t, pool, funcs{"A": ledger, "B": ledger, "C": ledger, "D": ledger}, mayLogErrors)
	stop := b.work(t, orchestration.WorkerConfig{MaxTasks: 8})
	count := func(sql string) func() int { // -1 while the server is away
		return func() (n int) {
			if pool.QueryRow(t.Context(), sql).Scan(&n) != nil {
				return -1
			}
			return n
		}
	}
	rows, incomplete := count("select count(*) from ledger"), count("select count(*) from tasker.tasks where state <> 'complete'")
	var slowest time.Duration
	var lost bool // the memory of the engine was ahead at least once
	for round := range failovers(t) {
		if round > 0 {
			pair.AddReplica()
		}
		require.Eventually(t, func() bool {
			_, err := b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "default_retry_limit: 1"), NoWake: true}))
			return err == nil
		}, patience, 10*time.Millisecond)
		pair.AwaitReplica()
		complete, ahead := 4*tasks*(round+1), 0
		var died time.Time
		pair.Failover(func() { // what is committed here gets lost
			require.NoError(t, b.Wake(t.Context()))
			require.Eventually(t, func() bool {
				ahead = -1 // while the server is away
				_ = pool.QueryRow(t.Context(), "select count(*), clock_timestamp() from ledger").Scan(&ahead, &died)
				return ahead > complete-3*tasks
			}, patience, time.Millisecond)
		})
		began := time.Now()
		require.Eventually(t, func() bool {
			return rows() >= complete && incomplete() == 0
		}, patience, 10*time.Millisecond, "failover %d", round+1)
		var kept int // of what was there when the primary died
		require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from ledger where at < $1", died).Scan(&kept))
		lost = lost || kept < ahead
		slowest = max(slowest, time.Since(began))
	}
	stop()
	t.Logf("all tasks complete %v after the failover at the latest", slowest.Round(time.Millisecond))
	require.True(t, lost, "no commit was lost")
	var total, all, distinct, failed int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from tasker.tasks").Scan(&total))
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*), count(distinct (task, step)) from ledger").Scan(&all, &distinct))
	require.Equal(t, []int{4 * total, 4 * total}, []int{all, distinct})
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from tasker.attempts where outcome = 'error'").Scan(&failed))
	t.Logf("%d tasks, %d attempts failed with their connection", total, failed)
}

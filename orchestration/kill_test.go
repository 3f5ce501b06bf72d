package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// workerVariable makes this binary a worker on the database it names.
const workerVariable = "TASKER_TEST_WORKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(workerVariable); url != "" {
		fmt.Fprintln(os.Stderr, workUntilKilled(url))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func workUntilKilled(url string) error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	h := funcs{"A": ledger, "B": ledger, "C": ledger, "D": ledger, "Hang": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	e, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: resolver(h)})
	if err != nil {
		return err
	}
	return e.Work(ctx, orchestration.WorkerConfig{Poll: 200 * time.Millisecond})
}

// kill -9, ten times, in the middle of 1,000 tasks: all complete, each step's
// row is in the ledger once, and the next worker takes the tasks over within
// seconds.
func TestWorkerIsKilled(t *testing.T) {
	t.Parallel()
	const tasks, kills = 1000, 10
	url := pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := engineOn(t, pool, nil)
	_, err = pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	_, err = b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "default_retry_limit: 50")}))
	require.NoError(t, err)
	rows := func() (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from ledger").Scan(&n))
		return n
	}
	start := func() *exec.Cmd {
		worker := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
		worker.Env = append(os.Environ(), workerVariable+"="+url)
		require.NoError(t, worker.Start())
		return worker
	}
	for i := range kills {
		worker := start()
		enough := (i + 1) * 4 * tasks / (kills + 2)
		require.Eventually(t, func() bool { return rows() >= enough }, 60*time.Second, time.Millisecond)
		require.NoError(t, worker.Process.Kill())
		_ = worker.Wait() // it was killed
	}
	held := heldTasks(t, pool)
	last := start()
	began := time.Now()
	require.Eventually(t, func() bool { return finished(t, pool, held) }, 30*time.Second, 5*time.Millisecond)
	t.Logf("%d tasks of the killed worker were done %v after the next one's start", len(held), time.Since(began).Round(time.Millisecond))
	b.waitForTasks(t, orchestration.TaskComplete, tasks)
	require.NoError(t, last.Process.Kill())
	_ = last.Wait() // it was killed
	var total, distinct int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*), count(distinct (task, step)) from ledger").Scan(&total, &distinct))
	require.Equal(t, []int{4 * tasks, 4 * tasks}, []int{total, distinct})
	require.Eventually(t, func() bool { // the killed worker's backends end
		var n int
		return pool.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'").Scan(&n) == nil &&
			n <= int(pool.Stat().TotalConns())+1
	}, 10*time.Second, 5*time.Millisecond)
}

func heldTasks(t *testing.T, pool *pgxpool.Pool) []int64 {
	t.Helper()
	var held []int64
	require.NoError(t, pool.QueryRow(t.Context(),
		"select array(select task_id from tasker.tasks where held_by is not null and state = 'in_progress')").Scan(&held))
	return held
}

func finished(t *testing.T, pool *pgxpool.Pool, tasks []int64) bool {
	t.Helper()
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from tasker.tasks where task_id = any($1) and state = 'complete'", tasks).Scan(&n))
	return n == len(tasks)
}

// An engine that is closed leaves no goroutine behind.
func TestCloseLeavesNothing(t *testing.T) {
	pool := database(t)
	require.NoError(t, pool.Ping(t.Context()))
	before := goleak.IgnoreCurrent()
	e, err := orchestration.New(t.Context(), orchestration.Config{Pool: pool, Handlers: resolver{}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Work(ctx, orchestration.WorkerConfig{}) }()
	b := &bundle{Engine: e, pool: pool}
	b.submit(t, template(t, diamond, ""), "{}")
	b.waitForTasks(t, orchestration.TaskComplete, 1)
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	pool.Reset()
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
}

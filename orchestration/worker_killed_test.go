package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// workerVariable makes this test binary a worker on the database that the variable
// names.
const workerVariable = "TASKER_TEST_WORKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(workerVariable); url != "" {
		fmt.Fprintln(os.Stderr, workUntilKilled(url))
		os.Exit(1)
	}
	if url := os.Getenv(chaosVariable); url != "" {
		fmt.Fprintln(os.Stderr, chaosWork(url))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func workUntilKilled(url string) error {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	orchestration.ConfigurePool(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	slowly := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		time.Sleep(20 * time.Millisecond) // long enough for a kill in the middle
		return ledger(ctx, x)
	}
	// The last tasks wait for the test: it may be late, and the worker must not be done by then.
	last := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		for goOn := false; !goOn && string(x.Context) == lastTasks; time.Sleep(5 * time.Millisecond) { // between two looks
			if err := pool.QueryRow(ctx, "select to_regclass('go_on') is not null").Scan(&goOn); err != nil {
				return nil, err
			}
		}
		return slowly(ctx, x)
	}
	h := funcs{"A": last, "B": slowly, "C": slowly, "D": slowly, "Lock": lockAndHang, "Crash": crash, "Hang": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	e, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: threaded{resolver(h), orchestration.NewThreads(8)}})
	if err != nil {
		return err
	}
	return e.Work(ctx, orchestration.WorkerConfig{Poll: 200 * time.Millisecond})
}

// lastTasks is the context of the tasks that wait for the table go_on.
const lastTasks = `{"last":true}`

// crash ends the process, as a fault in a C extension does.
func crash(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
	return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// Workers are killed with kill -9, again and again, in the middle of many tasks. All tasks
// complete, and the ledger has each step's row once. The next worker holds the tasks of
// the killed one; the log has how soon.
func TestTasksOfKilledWorkersAreTakenOver(t *testing.T) {
	t.Parallel()
	kills := effort.Of(4, 10)
	tasks := 100 * kills
	url := pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := engineOn(t, pool, nil)
	_, err = pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	list := many(tasks, orchestration.Submission{Template: template(t, diamond, "default_retry_limit: 50")})
	for i := 3 * tasks / 4; i < tasks; i++ {
		list[i].Context, list[i].Priority = json.RawMessage(lastTasks), -1
	}
	_, err = b.SubmitMany(t.Context(), list)
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
	var slowest time.Duration
	var held []int64 // by the last killed worker
	var dead int64   // the number of that worker's engine
	for i := range kills + 1 {
		if i == kills {
			_, err = pool.Exec(t.Context(), "create table go_on ()")
			require.NoError(t, err)
		}
		began := time.Now()
		worker := start()
		require.Eventually(t, func() bool { return takenOver(t, pool, held, dead) }, patience, time.Millisecond,
			"the tasks of worker %d are not taken over", i)
		if i > 0 {
			slowest = max(slowest, time.Since(began))
		}
		if i == kills {
			b.waitForTasks(t, orchestration.TaskComplete, tasks)
			require.NoError(t, worker.Process.Kill())
			_ = worker.Wait() // it was killed
			break
		}
		enough := (i + 1) * 4 * tasks / (2 * kills) // in the first half: then no worker is done before it is looked at
		// Stopped first: between two tasks it goes on, and is stopped again.
		require.Eventually(t, func() bool {
			if rows() < enough {
				return false
			}
			daemon.Freeze(t, worker.Process)
			if held, dead = heldTasks(t, pool); len(held) > 0 {
				return true
			}
			require.NoError(t, worker.Process.Signal(syscall.SIGCONT))
			return false
		}, patience, time.Millisecond, "worker %d was not killed in the middle", i)
		require.NoError(t, worker.Process.Kill())
		_ = worker.Wait() // it was killed
	}
	t.Logf("taken over %v after the start of the next worker at the latest", slowest.Round(time.Millisecond))
	var total, distinct, lost int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*), count(distinct (task, step)) from ledger").Scan(&total, &distinct))
	require.Equal(t, []int{4 * tasks, 4 * tasks}, []int{total, distinct})
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from tasker.attempts where outcome = 'lost'").Scan(&lost))
	require.Positive(t, lost, "nothing was running when the workers were killed")
	require.Eventually(t, func() bool { // the killed worker's backends end
		var n int
		return pool.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'").Scan(&n) == nil &&
			n <= int(pool.Stat().TotalConns())+1
	}, patience, 5*time.Millisecond)
}

// heldTasks returns the leased tasks, and the number of the engine that holds them.
func heldTasks(t *testing.T, pool *pgxpool.Pool) (held []int64, engine int64) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(),
		"select array_agg(task_id), coalesce(min(held_by), 0) from tasker.queue where held_by is not null").Scan(&held, &engine))
	return held, engine
}

// takenOver reports whether each of the tasks has ended, or is held by another engine
// than the dead one.
func takenOver(t *testing.T, pool *pgxpool.Pool, tasks []int64, dead int64) bool {
	t.Helper()
	var left int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from tasker.queue
		where task_id = any($1) and (held_by is null or held_by = $2)`, tasks, dead).Scan(&left))
	return left == 0
}

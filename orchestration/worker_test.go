package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// work starts a worker and returns what stops it and waits for it.
func (b *bundle) work(t *testing.T, cfg orchestration.WorkerConfig) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Work(ctx, cfg) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

func (b *bundle) inState(t *testing.T, state orchestration.TaskState) int {
	t.Helper()
	var n int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*) from tasker.tasks where state = $1", state).Scan(&n))
	return n
}

func (b *bundle) waitForTasks(t *testing.T, state orchestration.TaskState, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return b.inState(t, state) == n }, 30*time.Second, 5*time.Millisecond, "%d tasks %s", n, state)
}

func many(n int, s orchestration.Submission) []orchestration.Submission {
	return slices.Repeat([]orchestration.Submission{s}, n)
}

func TestWorkersShareTheTasks(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	count := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		return nil, nil
	}
	handlers := funcs{"A": count, "B": count, "C": count, "D": count}
	one := engine(t, handlers)
	two := engineOn(t, one.pool, handlers)
	one.work(t, orchestration.WorkerConfig{})
	two.work(t, orchestration.WorkerConfig{MaxTasks: 3})
	_, err := one.SubmitMany(t.Context(), many(200, orchestration.Submission{Template: template(t, diamond, "")}))
	require.NoError(t, err)
	one.waitForTasks(t, orchestration.TaskComplete, 200)
	require.EqualValues(t, 800, runs.Load())
	var left int
	require.NoError(t, one.pool.QueryRow(t.Context(), "select count(*) from tasker.tasks where held_by is not null").Scan(&left))
	require.Zero(t, left)
}

// A worker that sleeps for an hour is woken by a submission, a retry's time
// and a person.
func TestWorkerIsWoken(t *testing.T) {
	t.Parallel()
	var ok atomic.Bool
	b := engine(t, funcs{"Bad": failUnless(&ok)})
	b.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	b.submit(t, template(t, "a:", ""), "{}")
	b.waitForTasks(t, orchestration.TaskComplete, 1)
	id := b.submit(t, template(t, "bad:", "default_retry_limit: 1"), "{}")
	b.waitForTasks(t, orchestration.TaskInError, 1)
	ok.Store(true)
	require.NoError(t, b.RetryTask(t.Context(), id, ops))
	b.waitForTasks(t, orchestration.TaskComplete, 2)
	soon := time.Now().Add(300 * time.Millisecond)
	made, err := b.Submit(t.Context(), orchestration.Submission{Template: template(t, "a:", ""), RunAt: soon})
	require.NoError(t, err)
	b.waitForTasks(t, orchestration.TaskComplete, 3)
	d, err := b.Task(t.Context(), made.TaskID)
	require.NoError(t, err)
	require.False(t, d.EndedAt.Before(soon.Truncate(time.Microsecond)))
}

// A retry that is due later lets go of the task until then.
func TestWorkerSnoozesTasks(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	wait := 200 * time.Millisecond
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		if calls.Add(1) == 1 {
			return nil, &orchestration.StepError{Class: "Busy", RetryAfter: &wait}
		}
		return nil, nil
	}})
	b.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	b.submit(t, template(t, "a:", ""), "{}")
	b.waitForTasks(t, orchestration.TaskComplete, 1)
	require.EqualValues(t, 2, calls.Load())
}

func TestPriorityGoesFirst(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []int64
	b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, x.TaskID)
		return nil, nil
	}})
	var list []orchestration.Submission
	for _, p := range []int16{0, 5, -5, 5} {
		list = append(list, orchestration.Submission{Template: template(t, "a:", ""), Priority: p})
	}
	made, err := b.SubmitMany(t.Context(), list)
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{MaxTasks: 1})
	b.waitForTasks(t, orchestration.TaskComplete, 4)
	id := func(i int) int64 { return made[i].TaskID }
	require.ElementsMatch(t, []int64{id(1), id(3)}, order[:2])
	require.Equal(t, []int64{id(0), id(2)}, order[2:])
}

// Stopping lets the steps that run come to their end, starts no others, and
// leaves the task to the next worker at once.
func TestWorkerDrains(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-finish
		return json.RawMessage(`1`), nil
	}})
	id := b.submit(t, template(t, "a:\nb: a", ""), "{}")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Work(ctx, orchestration.WorkerConfig{}) }()
	<-begun
	cancel()
	close(finish)
	require.NoError(t, <-ended)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, map[string]orchestration.StepState{"a": orchestration.StepComplete, "b": orchestration.StepPending}, states(d))
	other := engineOn(t, b.pool, nil)
	other.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	b.waitForTasks(t, orchestration.TaskComplete, 1)
}

// A handler that takes longer than the drain is interrupted, and its attempt
// does not count.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	b := engine(t, funcs{"A": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	id := b.submit(t, template(t, "a:", "default_retry_limit: 1"), "{}")
	stop := b.work(t, orchestration.WorkerConfig{Drain: time.Millisecond})
	<-begun
	stop()
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.StepPending, step(t, d, "a").State)
	require.Zero(t, step(t, d, "a").Attempts)
}

// A worker whose session is killed loses its tasks to another one within
// seconds, and what it has done by then changes nothing.
func TestTasksOfALostWorkerAreTakenOver(t *testing.T) {
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

// Connections are killed at random while tasks run: every step's row in the
// ledger is there exactly once.
func TestConnectionsDieWhileTasksRun(t *testing.T) {
	t.Parallel()
	const tasks = 100
	b := engine(t, funcs{"A": ledger, "B": ledger, "C": ledger, "D": ledger}, mayLogErrors)
	_, err := b.pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	_, err = b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "default_retry_limit: 50")}))
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond, MaxTasks: 8})
	for i := 0; b.alive(t) > 0; i++ {
		// All backends of this database but the one that asks.
		if i < 20 {
			_, _ = b.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from (
				select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() order by random() limit 2) x`)
		}
		time.Sleep(10 * time.Millisecond) // not waited for: the pace of the killing
	}
	require.Equal(t, tasks, b.inState(t, orchestration.TaskComplete))
	var rows, distinct int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*), count(distinct (task, step)) from ledger").Scan(&rows, &distinct))
	require.Equal(t, []int{4 * tasks, 4 * tasks}, []int{rows, distinct})
}

// alive counts the tasks that have not ended, also while connections die.
func (b *bundle) alive(t *testing.T) (n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.pool.QueryRow(t.Context(), "select count(*) from tasker.tasks where state in ('pending', 'in_progress')").Scan(&n) == nil
	}, 30*time.Second, time.Millisecond)
	return n
}

func ledger(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, "insert into ledger values ($1, $2)", x.TaskID, x.StepName)
	return json.RawMessage(fmt.Sprintf(`"%s"`, x.StepName)), err
}

// The same engine works on a task and runs it, many times over: nothing is
// taken for lost, and nothing runs twice.
func TestRunBesideTheWorkerOfTheSameEngine(t *testing.T) {
	t.Parallel()
	const tasks = 100
	var runs atomic.Int32
	count := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		time.Sleep(2 * time.Millisecond) // so that the others meet it while it runs
		return nil, nil
	}
	b := engine(t, funcs{"A": count, "B": count, "C": count, "D": count})
	made, err := b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "")}))
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{})
	var all sync.WaitGroup
	for _, m := range made {
		for range 2 {
			all.Go(func() {
				out, err := b.Run(t.Context(), m.TaskID)
				assert.NoError(t, err)
				assert.Equal(t, orchestration.TaskComplete, out.State)
			})
		}
	}
	all.Wait()
	require.EqualValues(t, 4*tasks, runs.Load())
}

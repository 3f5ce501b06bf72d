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

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// work starts a worker. It returns a function that stops the worker and waits for it.
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
	require.Eventually(t, func() bool { return b.inState(t, state) == n }, patience, 5*time.Millisecond, "%d tasks %s", n, state)
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
	require.NoError(t, one.pool.QueryRow(t.Context(), "select count(*) from tasker.queue where held_by is not null").Scan(&left))
	require.Zero(t, left)
}

// A worker with a poll of an hour is woken by a submission, by a task that falls due,
// and by a person.
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

// A task that waits for a later retry is given back until then.
func TestWorkerGivesWaitingTasksBack(t *testing.T) {
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

// A worker that drains waits for its running steps and starts no others. The next worker
// gets the task at once.
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

// A handler that does not return during the drain is interrupted. Its attempt does not
// count.
func TestDrainInterruptsSlowHandlers(t *testing.T) {
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

// A drain that is told to end does not wait for its time.
func TestADrainIsInterrupted(t *testing.T) {
	t.Parallel()
	begun, interrupt := make(chan struct{}, 1), make(chan struct{})
	b := engine(t, funcs{"A": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	id := b.submit(t, template(t, "a:", "default_retry_limit: 1"), "{}")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Work(ctx, orchestration.WorkerConfig{Drain: time.Hour, Interrupt: interrupt}) }()
	<-begun
	cancel()
	other := engineOn(t, b.pool, nil)
	other.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	close(interrupt)
	b.waitForTasks(t, orchestration.TaskComplete, 1)
	require.NoError(t, <-ended)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, step(t, d, "a").Attempts)
}

func ledger(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, "insert into ledger values ($1, $2)", x.TaskID, x.StepName)
	return json.RawMessage(fmt.Sprintf(`"%s"`, x.StepName)), err
}

// A task has ended, and is in the queue nevertheless. A worker takes it out.
func TestAnEndedTaskLeavesTheQueue(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	id := b.run(t, template(t, "a:", "")).TaskID
	_, err := b.pool.Exec(t.Context(), `insert into tasker.queue (task_id, template, priority, due_at, ready) values ($1, 1, 0, now(), true)`, id)
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{Poll: 20 * time.Millisecond})
	require.Eventually(t, func() bool {
		var left int
		return b.pool.QueryRow(t.Context(), "select count(*) from tasker.queue").Scan(&left) == nil && left == 0
	}, patience, 5*time.Millisecond)
}

// A task is ready, but its row is locked when a worker looks, by a change that is refused
// and so notifies nobody. The worker looks again, and does not wait for its next Poll.
func TestALockedTaskIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tpl := template(t, "a:", "")
	made, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, Priority: 1, NoWake: true})
	require.NoError(t, err)
	locker, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = locker.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = locker.Exec(t.Context(), "select from tasker.tasks where task_id = $1 for no key update", made.TaskID)
	require.NoError(t, err)
	b.submit(t, tpl, "{}")
	b.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	b.waitForTasks(t, orchestration.TaskComplete, 1) // the worker has looked
	require.NoError(t, locker.Rollback(t.Context()))
	b.waitForTasks(t, orchestration.TaskComplete, 2)
}

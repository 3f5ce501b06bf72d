package orchestration_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// beside is an engine for the foreground, and one with a worker on the same database. Each
// says as its results which one it is.
func beside(t *testing.T, here orchestration.StepHandlerFunc) (mine, others *bundle) {
	t.Helper()
	mine = engine(t, funcs{"A": here})
	others = engineOn(t, mine.pool, funcs{"A": value(`"worker"`), "B": value(`"worker"`)})
	others.work(t, orchestration.WorkerConfig{Poll: 5 * time.Millisecond})
	return mine, others
}

// held submits a task that no worker may take, and then waits until the worker has done a
// task that it would have taken later.
func (b *bundle) held(t *testing.T, tpl *templates.Template, others *bundle) int64 {
	t.Helper()
	s, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, Held: true, Priority: 1})
	require.NoError(t, err)
	others.completes(t, others.submit(t, template(t, "b:", ""), "{}"))
	return s.TaskID
}

// completes waits until the task is complete, and returns the results of its first step.
func (b *bundle) completes(t *testing.T, task int64) string {
	t.Helper()
	var d *orchestration.TaskDetail
	require.Eventually(t, func() (done bool) {
		var err error
		d, err = b.Task(t.Context(), task)
		require.NoError(t, err)
		return d.State == orchestration.TaskComplete
	}, patience, time.Millisecond)
	return string(d.Steps[0].Results())
}

func TestAHeldTaskIsRunByWhoSubmittedIt(t *testing.T) {
	t.Parallel()
	mine, others := beside(t, value(`"here"`))
	task := mine.held(t, template(t, "a:", ""), others)
	d, err := mine.Task(t.Context(), task)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, d.State)
	require.Equal(t, map[string]orchestration.StepState{"a": orchestration.StepPending}, states(d))
	_, err = mine.Run(t.Context(), task)
	require.NoError(t, err)
	require.Equal(t, `"here"`, mine.completes(t, task))
	mine.mu.Lock()
	defer mine.mu.Unlock()
	require.Equal(t, orchestration.EventTaskStarted, mine.events[0].Kind)
}

// A worker takes the task when Run has been given up, and when the engine is closed.
func TestAHoldEnds(t *testing.T) {
	t.Parallel()
	t.Run("with Run", func(t *testing.T) {
		t.Parallel()
		begun := make(chan struct{}, 1)
		mine, others := beside(t, func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		task := mine.held(t, template(t, "a:", ""), others)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		_, err := mine.Run(ctx, task)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, `"worker"`, others.completes(t, task))
	})
	t.Run("with the engine", func(t *testing.T) {
		t.Parallel()
		mine, others := beside(t, value(`"here"`))
		task := mine.held(t, template(t, "a:", ""), others)
		require.NoError(t, mine.Close())
		require.Equal(t, `"worker"`, others.completes(t, task))
	})
}

// A program that goes on with its next engine gets its task back, and a worker later. The
// hold is over before the handler has returned: the program may be killed for it.
func TestAHoldOutlivesRun(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 1), make(chan struct{})
	mine := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-release
		return nil, context.Canceled
	}}, func(c *orchestration.Config) { c.HoldAfterRun = time.Hour })
	others := engineOn(t, mine.pool, funcs{"A": value(`"worker"`)})
	others.work(t, orchestration.WorkerConfig{Poll: 5 * time.Millisecond})
	task := mine.held(t, template(t, "a:", ""), others)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { _, err := mine.Run(ctx, task); ran <- err }()
	<-begun
	cancel()
	require.Eventually(t, func() (freed bool) {
		require.NoError(t, mine.pool.QueryRow(t.Context(), "select held_by is null and not ready from tasker.queue where task_id = $1", task).Scan(&freed))
		return freed
	}, patience, time.Millisecond)
	close(release)
	require.ErrorIs(t, <-ran, context.Canceled)
	require.NoError(t, mine.Close())
	others.completes(t, others.submit(t, template(t, "b:", ""), "{}"))

	next := engineOn(t, mine.pool, funcs{"A": value(`"next"`)})
	require.NoError(t, next.RetryHere(t.Context(), task, orchestration.By{Actor: "ada"}))
	_, err := next.Run(t.Context(), task)
	require.NoError(t, err)
	require.Equal(t, `"next"`, next.completes(t, task))
}

// A task that failed, or waits, is retried where the operator is.
func TestRetryHere(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	mine, others := beside(t, func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		switch calls.Add(1) {
		case 1:
			return nil, &orchestration.StepError{Class: "Broken", Permanent: true}
		case 2:
			later := time.Hour
			return nil, &orchestration.StepError{Class: "Later", RetryAfter: &later}
		}
		return json.RawMessage(`"here"`), nil
	})
	tpl := parse(t, "  - {name: a, handler_class: A, backoff: {max_seconds: 7200}}\n")
	task := mine.held(t, tpl, others)
	out, err := mine.Run(t.Context(), task)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInError, out.State)

	by := orchestration.By{Actor: "ada"}
	require.NoError(t, mine.RetryHere(t.Context(), task, by))
	others.completes(t, others.submit(t, template(t, "b:", ""), "{}"))
	out, err = mine.Handle(t.Context(), task) // it waits for an hour
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, out.State)

	require.NoError(t, mine.RetryHere(t.Context(), task, by))
	others.completes(t, others.submit(t, template(t, "b:", ""), "{}"))
	_, err = mine.Run(t.Context(), task)
	require.NoError(t, err)
	require.Equal(t, `"here"`, mine.completes(t, task))
	require.ErrorIs(t, mine.RetryHere(t.Context(), task, by), orchestration.ErrRefused)
	require.NoError(t, mine.Hold(t.Context(), task), "there is nothing to keep away from")
}

// A worker keeps a task that it has. The caller then runs it beside the worker.
func TestHoldLeavesATaskToItsWorker(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	mine := engine(t, nil)
	others := engineOn(t, mine.pool, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		close(begun)
		<-release
		return json.RawMessage(`"worker"`), nil
	}})
	others.work(t, orchestration.WorkerConfig{Poll: 5 * time.Millisecond})
	task := others.submit(t, template(t, "a:", ""), "{}")
	<-begun
	require.NoError(t, mine.Hold(t.Context(), task))
	ran := make(chan error, 1)
	go func() { _, err := mine.Run(t.Context(), task); ran <- err }()
	close(release)
	require.NoError(t, <-ran)
	require.Equal(t, `"worker"`, mine.completes(t, task))
}

// The worker of the same engine frees leases that nobody knows of. A hold is not one.
func TestAWorkerOfTheEngineLeavesItsHolds(t *testing.T) {
	t.Parallel()
	log := &records{seen: make(chan string, 1000)}
	b := engine(t, nil, func(c *orchestration.Config) { c.Logger = slog.New(log) })
	held, err := b.Submit(t.Context(), orchestration.Submission{Template: template(t, "a:", ""), Held: true})
	require.NoError(t, err)
	unheard := b.submit(t, template(t, "b:", ""), "{}")
	_, err = b.pool.Exec(t.Context(), `update tasker.queue set held_by = (select number from tasker.workers), begun = true where task_id = $1`, unheard)
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{Poll: 5 * time.Millisecond})
	log.waitFor(t, "freed tasks that this worker held without knowing it: an answer of the database was lost")
	b.completes(t, unheard)
	d, err := b.Task(t.Context(), held.TaskID)
	require.NoError(t, err)
	require.Equal(t, map[string]orchestration.StepState{"a": orchestration.StepPending}, states(d))
}

func TestWhatHeldExcludes(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	s := orchestration.Submission{Template: template(t, "a:", ""), Held: true}
	_, err := b.SubmitMany(t.Context(), []orchestration.Submission{s})
	require.ErrorContains(t, err, "Held is not for SubmitMany")
	s.RunAt = time.Now().Add(time.Hour)
	_, err = b.Submit(t.Context(), s)
	require.ErrorContains(t, err, "both Held and RunAt")
}

// A task for later is not begun before its time because somebody held it.
func TestHoldLeavesATaskForLater(t *testing.T) {
	t.Parallel()
	mine, others := beside(t, value(`"here"`))
	later, err := mine.Submit(t.Context(), orchestration.Submission{Template: template(t, "a:", ""), RunAt: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.NoError(t, mine.Hold(t.Context(), later.TaskID))
	require.NoError(t, mine.Close())
	others.completes(t, others.submit(t, template(t, "b:", ""), "{}"))
	d, err := others.Task(t.Context(), later.TaskID)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskPending, d.State)
	var held bool
	require.NoError(t, mine.pool.QueryRow(t.Context(), "select begun from tasker.queue where task_id = $1", later.TaskID).Scan(&held))
	require.False(t, held)
}

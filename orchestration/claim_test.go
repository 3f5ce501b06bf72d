package orchestration_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// When an engine stops, it interrupts its handlers. The attempt does not count, and
// another engine continues the task.
func TestInterruptedStepIsReleased(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	id := b.submit(t, template(t, "a:\nb: a", "default_retry_limit: 1"), "{}")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	_, err := b.Run(ctx, id)
	require.ErrorIs(t, err, context.Canceled)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.StepPending, step(t, d, "a").State)
	require.Zero(t, step(t, d, "a").Attempts)
	require.Equal(t, orchestration.TaskInProgress, d.State)
	b.mu.Lock()
	last := b.events[len(b.events)-1]
	b.mu.Unlock()
	require.Equal(t, orchestration.EventStepReleased, last.Kind)
	require.NotZero(t, last.Duration, "it had begun")

	other := engineOn(t, b.pool, nil)
	out, err := other.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
}

// Two engines handle the same task: each step runs once.
func TestEachStepRunsInOneOfTwoEngines(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	count := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		return nil, nil
	}
	handlers := funcs{"A": count, "B": count, "C": count, "D": count}
	one := engine(t, handlers)
	two := engineOn(t, one.pool, handlers)
	for range 10 {
		runs.Store(0)
		id := one.submit(t, template(t, diamond, ""), "{}")
		ended := make(chan error, 2)
		for _, e := range []*bundle{one, two} {
			go func() {
				out, err := e.Run(t.Context(), id)
				if err == nil && out.State != orchestration.TaskComplete {
					err = errors.Newf("ended %s", out.State)
				}
				ended <- err
			}()
		}
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		require.EqualValues(t, 4, runs.Load())
	}
}

// One engine runs a task with Run and with Work at the same time, many times over. No
// claim is taken for dead, and no step runs twice.
func TestRunAndWorkOnTheSameTask(t *testing.T) {
	t.Parallel()
	const tasks = 100
	var runs atomic.Int32
	count := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		time.Sleep(2 * time.Millisecond) // so that the other call finds it running
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

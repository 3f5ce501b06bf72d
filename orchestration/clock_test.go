package orchestration_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The clock is set back, and then far ahead, while a task waits. The due time stays the
// same, no step runs twice, and the task ends.
func TestClockJumpsDoNotMoveRetries(t *testing.T) {
	t.Parallel()
	clock := jumpingClock{start: time.Now()}
	var runs atomic.Int32
	b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if runs.Add(1); x.Attempt == 1 {
			minute := time.Minute
			return nil, &orchestration.StepError{Class: "Later", RetryAfter: &minute}
		}
		return nil, nil
	}}, func(c *orchestration.Config) { c.Now = clock.Now })
	id := b.submit(t, template(t, "a:\nb: a", ""), "{}")
	out, err := b.Handle(t.Context(), id)
	require.NoError(t, err)
	due := out.Next
	require.WithinDuration(t, clock.start.Add(time.Minute), due, 30*time.Second)

	clock.jump.Store(int64(-24 * time.Hour))
	out, err = b.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, out.State)
	require.True(t, due.Equal(out.Next), "%s and not %s", out.Next, due)
	require.EqualValues(t, 1, runs.Load())

	clock.jump.Store(int64(240 * time.Hour))
	out, err = b.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
	require.EqualValues(t, 2, runs.Load())

	// Transitions are read in the order in which they happened, whatever their times.
	clock.jump.Store(int64(-24 * time.Hour))
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	for _, s := range d.Steps {
		requireChain(t, s.Transitions, string(s.State), orchestration.StepTransitions)
	}
	b.submit(t, template(t, "b:", ""), "{}")
	b.work(t, orchestration.WorkerConfig{})
	b.waitForTasks(t, orchestration.TaskComplete, 2)
}

// jumpingClock is a clock that a test can set.
type jumpingClock struct {
	start time.Time
	jump  atomic.Int64 // nanoseconds
}

func (c *jumpingClock) Now() time.Time {
	return c.start.Add(time.Since(c.start) + time.Duration(c.jump.Load()))
}

package runner

import (
	"context"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newAccounts(cancelEvery int64) *engineRuns {
	return &engineRuns{
		clock: newClock(), cancelEvery: cancelEvery, progress: make(chan struct{}, 1), stopped: make(chan error, 1),
		failed: map[int64]*orchestration.StepError{}, over: map[int64]bool{},
	}
}

func ended(r *engineRuns, task int64) { // as the engine says it
	r.onEvent(orchestration.Event{Kind: orchestration.EventTaskEnded, TaskID: task, TaskState: orchestration.TaskCancelled})
}

// Of a cancelled task two parties say that it has ended, and one of them may be late.
func TestATaskIsCountedOnceAndInItsBatch(t *testing.T) {
	t.Parallel()
	r := newAccounts(2)
	r.begin()
	ended(r, 1)
	ended(r, 2)
	r.countEnded(2)
	r.countEnded(4)
	n, err := r.soFar()
	require.NoError(t, err)
	require.Equal(t, int64(3), n)

	r.newest = 4
	r.begin()
	ended(r, 4)
	r.countEnded(2)
	n, err = r.soFar()
	require.NoError(t, err)
	require.Zero(t, n, "they belong to the batch before")
	ended(r, 6)
	require.NoError(t, r.await(t.Context(), 1, nil))
}

func TestTheFirstFailureEndsABatch(t *testing.T) {
	t.Parallel()
	r := newAccounts(0)
	r.begin()
	for task, message := range []string{"the card was declined", "another"} {
		r.onEvent(orchestration.Event{Kind: orchestration.EventStepFailed, TaskID: int64(task), Err: &orchestration.StepError{Class: "E", Message: message}})
	}
	for task := range int64(2) {
		r.onEvent(orchestration.Event{Kind: orchestration.EventTaskEnded, TaskID: task, Namespace: "shop", TaskName: "order", TaskState: orchestration.TaskInError})
	}
	err := r.await(t.Context(), 5, nil)
	var f *soak.Failure
	require.ErrorAs(t, err, &f)
	require.Contains(t, f.Message, "a task of shop/order has failed")
	require.Equal(t, []string{"E: the card was declined"}, f.Detail)
	require.Empty(t, r.failed)

	r = newAccounts(0)
	r.allowFailed = true
	r.begin()
	r.onEvent(orchestration.Event{Kind: orchestration.EventStepFailed, TaskID: 1, Err: &orchestration.StepError{}})
	r.onEvent(orchestration.Event{Kind: orchestration.EventTaskEnded, TaskID: 1, TaskState: orchestration.TaskInError})
	require.NoError(t, r.await(t.Context(), 1, nil))
	require.Empty(t, r.failed)
}

// A batch does not wait for a worker that has ended, even if that knows no error.
func TestAWorkerThatEndsEndsTheBatch(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{nil, errors.New("no connection")} {
		r := newAccounts(0)
		r.begin()
		r.stopped <- cause
		err := r.await(t.Context(), 1, nil)
		require.ErrorContains(t, err, "the worker has ended")
		require.Equal(t, cause, <-r.stopped, "close reads it, too")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorIs(t, newAccounts(0).await(ctx, 1, nil), context.Canceled)
}

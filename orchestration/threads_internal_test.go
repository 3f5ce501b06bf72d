package orchestration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A step with a short time limit gets a thread only when those in the threads' own queue
// have got theirs. Otherwise its time would run while it waits there.
func TestLimitedStepsGetAThread(t *testing.T) {
	threads := NewQueuedThreads(1, 8)
	take := func(limited, queued bool) <-chan struct{} {
		granted, q := threads.take(limited)
		require.Equal(t, queued, q)
		return granted
	}
	take(false, false)
	threads.give(time.Millisecond) // now handlers are known to be quick
	take(false, false)
	take(false, true)
	take(false, true)
	limited := take(true, false)
	got := func() bool { return len(limited) == 1 }

	threads.give(time.Millisecond)
	require.False(t, got(), "the first of the queue has the thread")
	threads.give(-1)
	require.False(t, got(), "the second has left the queue, and the first still runs")
	threads.give(time.Millisecond)
	require.True(t, got())
	threads.give(time.Millisecond)
	require.Zero(t, threads.running)
}

// A step that waits for a thread gets it also if the one before it is withdrawn.
func TestWithdrawnStepsLeaveTheThread(t *testing.T) {
	threads := NewQueuedThreads(1, 8)
	threads.take(false)
	threads.give(time.Millisecond)
	threads.take(false)
	threads.take(false)
	threads.give(time.Millisecond)
	waits, _ := threads.take(true) // the one from the queue has the thread, or is about to
	threads.give(-1)
	require.Len(t, waits, 1, "it has the thread now")
}

// All workers that ask for room hear of it, also if they share an engine.
func TestEveryWorkerHearsOfRoom(t *testing.T) {
	threads := NewThreads(1)
	threads.admitSuccessor(true)
	one, two := make(chan struct{}, 1), make(chan struct{}, 1)
	for range 2 {
		require.Zero(t, threads.room(one))
		require.Zero(t, threads.room(two))
	}
	threads.leave()
	require.Len(t, one, 1)
	require.Len(t, two, 1)
	require.Empty(t, threads.roomFor)
}

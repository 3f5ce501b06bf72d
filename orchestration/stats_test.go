package orchestration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestStats(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"A": failIfAsked})
	s, err := b.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, s.Due)
	require.Nil(t, s.Oldest)
	require.Len(t, s.Tasks, 6)

	tpl := template(t, "a:", "")
	for state, n := range map[orchestration.TaskState]int{orchestration.TaskComplete: 3, orchestration.TaskInError: 2,
		orchestration.TaskCancelled: 1, orchestration.TaskResolvedManually: 2} {
		for range n {
			b.endIn(t, tpl, state, "")
		}
	}
	first := b.submit(t, tpl, "{}")
	held, later := b.submit(t, tpl, "{}"), b.submit(t, tpl, "{}")
	notBroughtIn, begun := b.submit(t, tpl, "{}"), b.submit(t, tpl, "{}")
	set := func(id int64, set string) {
		_, err := b.pool.Exec(t.Context(), "update tasker.queue set "+set+" where task_id = $1", id)
		require.NoError(t, err)
	}
	set(first, "due_at = now() - interval '1 hour'")
	set(held, "begun = true, held_by = 7, due_at = now() - interval '3 hours'")
	set(later, "ready = false, due_at = now() + interval '1 hour'")
	set(notBroughtIn, "ready = false, due_at = now() - interval '2 hours'")
	set(begun, "begun = true, due_at = 'epoch'")
	s, err = b.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[orchestration.TaskState]int{
		orchestration.TaskPending: 3, orchestration.TaskInProgress: 2, orchestration.TaskComplete: 3, orchestration.TaskInError: 2,
		orchestration.TaskCancelled: 1, orchestration.TaskResolvedManually: 2,
	}, s.Tasks)
	require.Equal(t, 3, s.Due)
	require.Equal(t, notBroughtIn, s.Oldest.TaskID)
	require.Equal(t, []string{"ns", "test"}, []string{s.Oldest.Namespace, s.Oldest.Name})
	require.InDelta(t, 2*time.Hour, s.Oldest.Waits, float64(time.Minute))
	require.False(t, s.CompleteEstimated)

	// The clock of the engine that has submitted the task was ahead.
	set(notBroughtIn, "due_at = now() + interval '1 hour'")
	set(first, "due_at = now() + interval '500 milliseconds'")
	s, err = b.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, s.Oldest.TaskID)
	require.Less(t, s.Oldest.Waits, time.Minute)

	// A large table is not counted.
	_, err = b.pool.Exec(t.Context(), "update pg_class set reltuples = 1000000 where oid = 'tasker.tasks'::regclass")
	require.NoError(t, err)
	s, err = b.Stats(t.Context())
	require.NoError(t, err)
	require.True(t, s.CompleteEstimated)
	require.Equal(t, 1_000_000-10, s.Tasks[orchestration.TaskComplete])
	require.Equal(t, 2, s.Tasks[orchestration.TaskInError])
}

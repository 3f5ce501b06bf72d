package orchestration_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestWorkers(t *testing.T) {
	t.Parallel()
	b := engine(t, nil) // which does not work
	list, err := b.Workers(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)

	begun := time.Now()
	one, two := newWorkerRow(t, b.pool), newWorkerRow(t, b.pool)
	two.says(t, "queues = '{bulk,mail}', namespaces = '{shop}', threads = 8, busy = 3, misses = '{Shop::Ship}', version = 'v1.2.3'")
	made, err := b.SubmitMany(t.Context(), many(5, orchestration.Submission{Template: template(t, "a:", "")}))
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), "update tasker.queue set held_by = $1, begun = true where task_id > $2", two.number, made[1].TaskID)
	require.NoError(t, err)
	list, err = b.Workers(t.Context())
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	for i := range list {
		require.WithinDuration(t, begun, list[i].StartedAt, time.Minute)
		require.False(t, list[i].HeartbeatAt.Before(list[i].StartedAt))
		require.Less(t, list[i].HeartbeatAge, 3*time.Second)
		list[i].StartedAt, list[i].HeartbeatAt, list[i].HeartbeatAge = time.Time{}, time.Time{}, 0
	}
	version := list[0].Version
	require.Equal(t, []orchestration.WorkerInfo{
		{Number: one.number, Host: host, PID: os.Getpid(), Version: version, Misses: []string{}},
		{Number: two.number, Host: host, PID: os.Getpid(), Version: "v1.2.3", Queues: []string{"bulk", "mail"}, Namespaces: []string{"shop"},
			Threads: 8, Busy: 3, Misses: []string{"Shop::Ship"}, Held: 3},
	}, list)

	require.NoError(t, one.Close())
	list, err = b.Workers(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}

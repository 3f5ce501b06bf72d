package orchestration_test

import (
	"context"
	"os"
	"slices"
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
	busy := newGate()
	defer busy.open()
	one := engineOn(t, b.pool, nil)
	stop := one.work(t, orchestration.WorkerConfig{Names: []string{"nothing"}})
	two := engineOn(t, b.pool, nil, func(c *orchestration.Config) {
		c.Handlers = orchestration.Handlers{Next: threaded{resolver{}, orchestration.NewThreads(8)},
			ByClass: map[string]orchestration.StepHandler{"Busy": orchestration.StepHandlerFunc(busy.handle)}}
	}, misses("Ship"), mayLogErrors)
	two.work(t, orchestration.WorkerConfig{Queues: []string{"bulk", "default"}, Namespaces: []string{"ns"}})
	_, err = b.SubmitMany(t.Context(), append(many(3, orchestration.Submission{Template: named(t, "busy", "busy:", "")}),
		many(2, orchestration.Submission{Template: named(t, "ship", "ship:", "")})...))
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the next heartbeat says it
		list, err = b.Workers(t.Context())
		return err == nil && len(list) == 2 && list[1].Busy == 3 && len(list[1].Misses) == 1 &&
			list[0].HeartbeatAge < 3*time.Second && list[1].HeartbeatAge < 3*time.Second
	}, patience, 5*time.Millisecond)
	host, err := os.Hostname()
	require.NoError(t, err)
	for i := range list {
		require.WithinDuration(t, begun, list[i].StartedAt, time.Minute)
		require.False(t, list[i].HeartbeatAt.Before(list[i].StartedAt))
		list[i].Number, list[i].StartedAt, list[i].HeartbeatAt, list[i].HeartbeatAge = 0, time.Time{}, time.Time{}, 0
	}
	version := list[0].Version
	require.Equal(t, []orchestration.WorkerInfo{
		{Host: host, PID: os.Getpid(), Version: version, Names: []string{"nothing"}, Misses: []string{}},
		{Host: host, PID: os.Getpid(), Version: version, Queues: []string{"bulk", "default"}, Namespaces: []string{"ns"},
			Threads: 8, Busy: 3, Misses: []string{"Ship"}, Held: 3},
	}, list)

	busy.open()
	b.waitForTasks(t, orchestration.TaskComplete, 3)
	stop()
	require.NoError(t, one.Close())
	list, err = b.Workers(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// missing are handlers without some classes.
type missing struct {
	orchestration.HandlerResolver
	classes []string
}

func (m missing) ResolveHandler(ctx context.Context, class string) (orchestration.StepHandler, error) {
	if slices.Contains(m.classes, class) {
		return nil, orchestration.ErrHandlerNotFound
	}
	return m.HandlerResolver.ResolveHandler(ctx, class)
}

func (m missing) ThreadsOf(class string) *orchestration.Threads {
	return m.HandlerResolver.(orchestration.Threaded).ThreadsOf(class)
}

// misses takes classes away from an engine's handlers.
func misses(classes ...string) func(*orchestration.Config) {
	return func(c *orchestration.Config) { c.Handlers = missing{c.Handlers, classes} }
}

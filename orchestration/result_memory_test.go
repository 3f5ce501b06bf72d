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

// With room for one byte, the steps whose parents have large results run one after another,
// and those that need no room run beside them. None fails.
func TestRoomForOneByteRunsEverything(t *testing.T) {
	t.Parallel()
	const tasks = 6
	var running, most, beside atomic.Int32
	reads := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for before := most.Load(); n > before && !most.CompareAndSwap(before, n); before = most.Load() {
		}
		return x.Result(ctx, x.Parents[0])
	}
	b := engine(t, funcs{
		"A": value(string(sized(1 << 20))), "B": reads, "C": reads, "D": reads,
		"Small": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			beside.Add(1)
			return json.RawMessage("1"), nil
		},
	}, func(c *orchestration.Config) { c.MaxResultMemory = 1 })
	tpl := template(t, "a:\nb: a\nc: a\nd: b c\nsmall:", "default_retry_limit: 1")
	ids := make([]int64, tasks)
	for i := range ids {
		ids[i] = b.submit(t, tpl, "{}")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Work(ctx, orchestration.WorkerConfig{}) }()
	for _, id := range ids {
		require.Eventually(t, func() bool {
			d, err := b.Task(t.Context(), id)
			return err == nil && d.State == orchestration.TaskComplete
		}, patience, 5*time.Millisecond)
	}
	stop()
	require.NoError(t, <-ended)
	require.EqualValues(t, 1, most.Load())
	require.EqualValues(t, tasks, beside.Load())
	held, returned := b.ResultMemory()
	require.Zero(t, held+returned)
}

// A step that runs, and has taken all room, keeps no step waiting that needs none.
func TestAStepWithAllRoomLetsSmallStepsRun(t *testing.T) {
	t.Parallel()
	reading, end := make(chan struct{}), make(chan struct{})
	b := engine(t, funcs{
		"A": value(string(sized(1 << 20))),
		"B": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			close(reading)
			<-end
			return x.Result(ctx, "a")
		},
	}, func(c *orchestration.Config) { c.MaxResultMemory = 1 })
	id := b.submit(t, template(t, "a:\nb: a", "default_retry_limit: 1"), "{}")
	ended := make(chan error, 1)
	go func() {
		_, err := b.Run(t.Context(), id)
		ended <- err
	}()
	<-reading
	require.Equal(t, orchestration.TaskComplete, b.run(t, template(t, "small:\nlast: small", "")).State)

	// One that needs room waits, but no other step of its task. It hears when it is
	// cancelled.
	second := make(chan orchestration.Outcome, 1)
	waits := b.submit(t, template(t, "a:\nroot:\ncopy: a root\nother: root", ""), "{}")
	go func() {
		out, _ := b.Run(t.Context(), waits)
		second <- out
	}()
	require.Eventually(t, func() bool {
		d, err := b.Task(t.Context(), waits)
		return err == nil && step(t, d, "other").State == orchestration.StepComplete && b.WaitsForRoom()
	}, patience, time.Millisecond)
	require.NoError(t, b.CancelTask(t.Context(), waits, ops))
	require.Equal(t, orchestration.TaskCancelled, (<-second).State)
	require.False(t, b.WaitsForRoom())
	close(end)
	require.NoError(t, <-ended)
}

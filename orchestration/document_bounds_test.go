package orchestration_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func small(cfg *orchestration.Config) { cfg.MaxDocumentBytes = 1000 }

// sized is a JSON string of so many bytes.
func sized(bytes int) json.RawMessage {
	return json.RawMessage(`"` + strings.Repeat("x", bytes-2) + `"`)
}

func TestContextsAreBounded(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, small)
	tpl := template(t, "a:", "")
	fits := json.RawMessage(`{"a":` + string(sized(994)) + `}`)
	tooLarge := json.RawMessage(`{"a":` + string(sized(995)) + `}`)
	b.submit(t, tpl, string(fits))
	_, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, Context: tooLarge})
	require.ErrorIs(t, err, orchestration.ErrContextTooLarge)
	require.ErrorContains(t, err, "1001 bytes of JSON; at most 1000")
	require.Contains(t, errors.FlattenHints(err), "give its key in the context")
	_, err = b.SubmitMany(t.Context(), []orchestration.Submission{{Template: tpl, Context: fits}, {Template: tpl, Context: tooLarge}})
	require.ErrorIs(t, err, orchestration.ErrContextTooLarge)
	require.ErrorContains(t, err, "submission 2 of 2")
}

func TestContextsAreBounded64MiBByDefault(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	large := json.RawMessage(`{"a":` + string(sized(64<<20)) + `}`)
	_, err := b.Submit(t.Context(), orchestration.Submission{Template: template(t, "a:", ""), Context: large})
	require.ErrorIs(t, err, orchestration.ErrContextTooLarge)
	require.ErrorContains(t, err, "at most 67108864")
}

func TestResultsOfGoHandlersAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size  int
		state orchestration.StepState
	}{{1000, orchestration.StepComplete}, {1001, orchestration.StepInError}} {
		d := engine(t, funcs{"A": value(string(sized(c.size)))}, small).run(t, template(t, "a:", ""))
		a := step(t, d, "a")
		require.Equal(t, c.state, a.State)
		require.Equal(t, 1, a.Attempts)
		if c.state == orchestration.StepInError {
			require.Equal(t, "UNREPRESENTABLE_RESULT", a.Last().Err.ErrorCode)
			require.True(t, a.Last().Err.Permanent)
			require.Contains(t, a.Last().Err.Message, "1001 bytes, and 1000 are allowed")
		}
	}
}

func TestResultsGivenByHandAreBounded(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, small)
	id := b.submit(t, template(t, "a:", ""), "{}")
	by := orchestration.By{Actor: "me"}
	err := b.ResolveStep(t.Context(), id, "a", sized(1001), by)
	require.ErrorIs(t, err, orchestration.ErrRefused)
	require.ErrorContains(t, err, "1001 bytes")
	require.NoError(t, b.ResolveStep(t.Context(), id, "a", sized(1000), by))
}

// While too many results are not committed, no step is claimed, and none fails. A wait
// ends by room, by a cancel and by the end of the context.
func TestClaimsWaitForUncommittedResults(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		calls.Add(1)
		return json.RawMessage("1"), nil
	}}, func(c *orchestration.Config) { c.MaxResultMemory = 1000 })
	tpl := template(t, "a:\nb: a", "")
	type ending struct {
		out orchestration.Outcome
		err error
	}
	start := func(ctx context.Context, id int64) chan ending {
		ended := make(chan ending, 1)
		go func() {
			out, err := b.Run(ctx, id)
			ended <- ending{out, err}
		}()
		require.Eventually(t, b.WaitsForRoom, patience, time.Millisecond)
		return ended
	}
	b.AddReturned(1001)

	ctx, cancel := context.WithCancel(t.Context())
	ended := start(ctx, b.submit(t, tpl, "{}"))
	cancel()
	require.ErrorIs(t, (<-ended).err, context.Canceled)

	cancelled := b.submit(t, tpl, "{}")
	ended = start(t.Context(), cancelled)
	require.NoError(t, b.CancelTask(t.Context(), cancelled, orchestration.By{Actor: "me"}))
	e := <-ended
	require.NoError(t, e.err)
	require.Equal(t, orchestration.TaskCancelled, e.out.State)

	ended = start(t.Context(), b.submit(t, tpl, "{}"))
	require.Zero(t, calls.Load())
	b.AddReturned(-1)
	e = <-ended
	require.NoError(t, e.err)
	require.Equal(t, orchestration.TaskComplete, e.out.State)
	require.EqualValues(t, 1, calls.Load())
	b.AddReturned(-1000)
	held, returned := b.ResultMemory()
	require.Zero(t, held+returned)
}

// A worker that waits for room drains at once.
func TestWorkerDrainsWhileItWaitsForRoom(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, func(c *orchestration.Config) { c.MaxResultMemory = 1000 })
	b.AddReturned(1001)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Work(ctx, orchestration.WorkerConfig{}) }()
	b.submit(t, template(t, "a:", ""), "{}")
	require.Eventually(t, b.WaitsForRoom, patience, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

// Large results of many tasks at once: all complete, and what is not committed does
// not follow their sum.
func TestLargeResultsOfManyTasks(t *testing.T) {
	const tasks, leased, size, bound = 30, 6, 4 << 20, 8 << 20
	results := sized(size)
	var b *bundle
	var peak atomic.Int64
	look := func() {
		for _, returned := b.ResultMemory(); ; {
			now := int64(returned)
			if before := peak.Load(); now <= before || peak.CompareAndSwap(before, now) {
				break
			}
		}
	}
	b = engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		look()
		return append(json.RawMessage(nil), results...), nil
	}}, func(c *orchestration.Config) { c.MaxResultMemory = bound })
	tpl := template(t, "a:", "")
	ids := make([]int64, tasks)
	for i := range ids {
		ids[i] = b.submit(t, tpl, "{}")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- b.Work(ctx, orchestration.WorkerConfig{MaxTasks: leased}) }()
	for _, id := range ids {
		require.Eventually(t, func() bool {
			look()
			d, err := b.Task(t.Context(), id)
			return err == nil && d.State == orchestration.TaskComplete
		}, 2*time.Minute, 5*time.Millisecond)
	}
	stop()
	require.NoError(t, <-ended)
	held, returned := b.ResultMemory()
	require.Zero(t, held+returned)
	require.LessOrEqual(t, peak.Load(), int64(bound+leased*size))
	t.Logf("%d MB of results: at most %d MB not committed", tasks*size>>20, peak.Load()>>20)
}

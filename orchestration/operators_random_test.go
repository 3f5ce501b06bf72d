package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// busyHandler plays the fates, takes a moment, and writes SQL in every second step. It
// counts what runs.
type busyHandler struct {
	parallel int

	mu      sync.Mutex
	steps   []modelStep
	running int
	began   map[int64]int // by step
	wrong   []string
}

func (h *busyHandler) HandleStep(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	var i int
	_, _ = fmt.Sscanf(x.StepName, "s%d", &i)
	h.mu.Lock()
	s := h.steps[i]
	h.began[x.StepID]++
	if h.running++; h.running > h.parallel {
		h.wrong = append(h.wrong, fmt.Sprintf("%d steps run at once", h.running))
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running--
	}()
	if i%2 == 0 {
		if _, err := ledger(ctx, x); err != nil {
			return nil, err
		}
	}
	select {
	case <-time.After(time.Duration(rand.IntN(3)) * time.Millisecond):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	f := succeeds
	if x.Attempt <= len(s.fates) {
		f = s.fates[x.Attempt-1]
	}
	switch f {
	case fails, isLost, panics:
		return nil, fmt.Errorf("attempt %d", x.Attempt)
	case dies, unstored:
		return nil, &orchestration.StepError{Class: "Dies", Permanent: true}
	}
	return json.Marshal(x.Attempt)
}

// anyOperation makes a random change. It says whether it was made.
func anyOperation(ctx context.Context, e *orchestration.Engine, task int64, steps int) (done bool, err error) {
	by := orchestration.By{Actor: "ann"}
	name := stepName(rand.IntN(steps))
	switch rand.IntN(12) {
	case 0:
		err = e.CancelTask(ctx, task, by)
	case 1, 2:
		err = e.CancelStep(ctx, task, name, by)
	case 3, 4, 5:
		err = e.RetryTask(ctx, task, by)
	case 6, 7, 8:
		err = e.RetryStep(ctx, task, name, by)
	case 9:
		err = e.ResolveTask(ctx, task, by)
	default:
		err = e.ResolveStep(ctx, task, name, json.RawMessage(`"by hand"`), by)
	}
	if errors.Is(err, orchestration.ErrRefused) {
		return false, nil
	}
	return err == nil, err
}

// Random tasks run in two engines of different speed, while operators change them at
// random moments. Each claim has one outcome in the end, no step is forgotten, and nothing
// is left behind. The workers look at no interval, so a task of which they do not hear
// would not end.
func TestOperatorsChangeRandomTasks(t *testing.T) {
	t.Parallel()
	for i := range effort.Of(2, 4) { // each has fifty tasks
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			checkWithOperators(t)
		})
	}
}

func checkWithOperators(t *testing.T) {
	t.Helper()
	fast, slow := &busyHandler{parallel: 3}, &busyHandler{parallel: 1}
	use := func(h *busyHandler) func(*orchestration.Config) {
		return func(c *orchestration.Config) {
			c.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Step": h}}
			c.MaxParallelSteps = h.parallel
		}
	}
	one := engine(t, nil, use(fast))
	two := engineOn(t, one.pool, nil, use(slow))
	ledgerTable(t, one)
	engines := []*bundle{one, two}
	for _, e := range engines {
		e.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	}
	for range 50 {
		steps := rapid.Custom(drawSteps).Example(rand.Int()) // the moments are random, too, so a failure cannot be made smaller
		for _, h := range []*busyHandler{fast, slow} {
			h.mu.Lock()
			h.steps, h.began, h.wrong = steps, map[int64]int{}, nil
			h.mu.Unlock()
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		made, err := one.Submit(ctx, orchestration.Submission{Template: parse(t, yamlOf(steps))})
		require.NoError(t, err)
		var others sync.WaitGroup
		if rand.IntN(2) == 0 {
			others.Go(func() { _, _ = two.Run(ctx, made.TaskID) })
		}
		for range rand.IntN(7) {
			time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
			_, err := anyOperation(ctx, engines[rand.IntN(2)].Engine, made.TaskID, len(steps))
			require.NoError(t, err)
		}
		var d *orchestration.TaskDetail
		for {
			d, err = one.Task(ctx, made.TaskID)
			require.NoError(t, err, "the task does not end")
			if d.State.Final() {
				break
			}
			time.Sleep(time.Millisecond)
		}
		others.Wait()
		for _, e := range engines { // handlers of a cancelled task return later
			require.Eventually(t, func() bool { return e.InHand() == 0 }, patience, time.Millisecond, "tasks or attempts are left")
		}
		require.Empty(t, fast.wrong)
		requireSettled(t, one, d, steps, fast, slow)
	}
}

// requireSettled checks a task that has ended.
func requireSettled(t *testing.T, b *bundle, d *orchestration.TaskDetail, steps []modelStep, handlers ...*busyHandler) {
	t.Helper()
	var queued bool
	require.NoError(t, b.pool.QueryRow(t.Context(), "select exists (select from tasker.queue where task_id = $1)", d.TaskID).Scan(&queued))
	require.False(t, queued, "a task that has ended is in the queue")
	requireChain(t, d.Transitions, string(d.State), orchestration.TaskTransitions)
	for i, s := range d.Steps {
		requireChain(t, s.Transitions, string(s.State), orchestration.StepTransitions)
		require.NotEqual(t, orchestration.StepInProgress, s.State)
		began := 0
		for _, h := range handlers {
			h.mu.Lock()
			began += h.began[s.StepID]
			h.mu.Unlock()
		}
		surely, perhaps := 0, 0
		for k, a := range s.History {
			require.Equal(t, k+1, a.Number, "%s: %+v", s.Name, s.History)
			switch a.Outcome {
			case "complete", "error":
				surely++
			case "cancelled":
				perhaps++
			default:
				require.Equal(t, "resolved_manually", a.Outcome, s.Name)
			}
		}
		require.LessOrEqual(t, surely, began, "%s: %+v", s.Name, s.History)
		require.LessOrEqual(t, began, surely+perhaps, "%s: %+v", s.Name, s.History)
		var rows int
		require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*) from ledger where task = $1 and step = $2", d.TaskID, s.Name).Scan(&rows))
		want := 0
		if i%2 == 0 && s.State == orchestration.StepComplete {
			want = 1
		}
		require.Equal(t, want, rows, "%s: %+v", s.Name, s.History)
		if s.State == orchestration.StepComplete {
			for _, p := range steps[i].parents {
				require.True(t, d.Steps[p].State.Done(), "%s ran before %s", s.Name, d.Steps[p].Name)
			}
		}
	}
}

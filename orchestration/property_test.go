package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// fate is the result of one attempt.
type fate string

const (
	succeeds fate = "succeeds"
	fails    fate = "fails"    // the attempt fails and may be retried
	dies     fate = "dies"     // the attempt fails permanently
	isLost   fate = "lost"     // the claim dies while the handler runs; the handler still returns a result
	unstored fate = "unstored" // the result cannot be stored
	panics   fate = "panics"
)

// modelStep is a step of a random task. It succeeds after its fates.
type modelStep struct {
	parents   []int
	fates     []fate
	limit     int
	retryable bool
	key       int // concurrency key, which is also its limit; 0 means none
}

// expectation is the end of a step according to a direct reading of the rules.
type expectation struct {
	state    orchestration.StepState
	outcomes []string
}

// expect computes each step from its parents, which come before it.
func expect(steps []modelStep) (orchestration.TaskState, []expectation) {
	out := make([]expectation, len(steps))
	task := orchestration.TaskComplete
	for i, s := range steps {
		out[i].state = orchestration.StepPending
		if slices.ContainsFunc(s.parents, func(p int) bool { return out[p].state != orchestration.StepComplete }) {
			continue
		}
		for attempt, counted := 1, 1; ; attempt++ {
			f := succeeds
			if attempt <= len(s.fates) {
				f = s.fates[attempt-1]
			}
			if f == succeeds {
				out[i].state = orchestration.StepComplete
				out[i].outcomes = append(out[i].outcomes, "complete")
				break
			}
			if f == isLost {
				out[i].outcomes = append(out[i].outcomes, "lost")
			} else {
				out[i].outcomes = append(out[i].outcomes, "error")
			}
			if f == dies || f == unstored || !s.retryable || f != isLost && counted >= s.limit {
				out[i].state = orchestration.StepInError
				task = orchestration.TaskInError
				break
			}
			if f != isLost {
				counted++
			}
		}
	}
	return task, out
}

func drawSteps(t *rapid.T) []modelStep {
	steps := make([]modelStep, rapid.IntRange(1, 7).Draw(t, "steps"))
	for i := range steps {
		s := &steps[i]
		for p := range i {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				s.parents = append(s.parents, p)
			}
		}
		s.limit = rapid.IntRange(1, 4).Draw(t, "limit")
		s.retryable = rapid.IntRange(0, 4).Draw(t, "retryable") > 0
		s.key = rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(t, "key")
		s.fates = rapid.SliceOfN(rapid.SampledFrom([]fate{succeeds, succeeds, fails, fails, dies, isLost, unstored, panics}), 0, 4).Draw(t, "fates")
	}
	return steps
}

func stepName(i int) string { return fmt.Sprintf("s%d", i) }

// yamlOf writes the template, each step with its own limit.
func yamlOf(steps []modelStep) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "  - name: %s\n    handler_class: Step\n    default_retry_limit: %d\n    default_retryable: %v\n    backoff: {curve: none}\n", stepName(i), s.limit, s.retryable)
		if s.key > 0 {
			fmt.Fprintf(&b, "    concurrency_key: key%d\n    concurrency_limit: %d\n", s.key, s.key)
		}
		if len(s.parents) > 0 {
			names := make([]string, len(s.parents))
			for k, p := range s.parents {
				names[k] = stepName(p)
			}
			fmt.Fprintf(&b, "    depends_on_steps: [%s]\n", strings.Join(names, ", "))
		}
	}
	return b.String()
}

// propertyHandler plays the fates and records what it sees.
type propertyHandler struct {
	b  *bundle
	mu sync.Mutex
	// for the current task
	steps   []modelStep
	runs    map[string]int
	holders [3]int // running steps, by key
	wrong   []string
}

func (h *propertyHandler) HandleStep(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	var i int
	_, _ = fmt.Sscanf(x.StepName, "s%d", &i)
	h.mu.Lock()
	h.runs[x.StepName]++
	s := h.steps[i]
	h.holders[s.key]++
	if s.key > 0 && h.holders[s.key] > s.key {
		h.wrong = append(h.wrong, fmt.Sprintf("%d steps of key %d run at once", h.holders[s.key], s.key))
	}
	release := sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.holders[s.key]--
	})
	defer release()
	lost := 0
	for _, f := range s.fates[:min(x.Attempt-1, len(s.fates))] {
		if f == isLost {
			lost++
		}
	}
	if x.Attempt-lost > s.limit {
		h.wrong = append(h.wrong, fmt.Sprintf("attempt %d of %s after %d losses, whose limit is %d", x.Attempt, x.StepName, lost, s.limit))
	}
	for _, p := range s.parents {
		if results, err := x.Result(context.Background(), stepName(p)); results == nil {
			h.wrong = append(h.wrong, fmt.Sprintf("%s ran before its parent %d (%v)", x.StepName, p, err))
		}
	}
	h.mu.Unlock()
	f := succeeds
	if x.Attempt <= len(s.fates) {
		f = s.fates[x.Attempt-1]
	}
	switch f {
	case fails:
		return nil, fmt.Errorf("attempt %d", x.Attempt)
	case dies:
		return nil, &orchestration.StepError{Class: "Dies", Permanent: true}
	case unstored:
		return json.RawMessage(`{"half":`), nil
	case panics:
		panic("at attempt")
	case isLost:
		release() // a permit ends with its claim
		// No engine has this number.
		if _, err := h.b.pool.Exec(ctx, "update tasker.steps set claimed_by = 2000000000 where step_id = $1", x.StepID); err != nil {
			return nil, err
		}
	}
	return json.Marshal(x.Attempt)
}

// Random tasks run with random failures, lost claims and concurrency keys, in two
// engines. Each step ends as in the model, with the same attempts. The limit of each key
// holds.
func TestRandomTasksAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	for i := range effort.Of(6, 20) { // a hundred tasks per round
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			checkAgainstModel(t)
		})
	}
}

func checkAgainstModel(t *testing.T) {
	t.Helper()
	h := &propertyHandler{}
	resolve := orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Step": h}}
	setHandlers := func(c *orchestration.Config) { c.Handlers = resolve }
	one := engine(t, nil, setHandlers)
	two := engineOn(t, one.pool, nil, setHandlers)
	h.b = one
	rapid.Check(t, func(r *rapid.T) {
		steps := drawSteps(r)
		h.steps, h.runs, h.wrong = steps, map[string]int{}, nil
		tpl := parse(t, yamlOf(steps))
		made, err := one.Submit(t.Context(), orchestration.Submission{Template: tpl})
		require.NoError(r, err)
		runners := []*bundle{one, two}[:rapid.IntRange(1, 2).Draw(r, "engines")]
		wantTask, want := expect(steps)

		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ended := make(chan error, len(runners))
		for _, e := range runners {
			go func() {
				out, err := e.Run(ctx, made.TaskID)
				if err == nil && out.State != wantTask {
					err = fmt.Errorf("%s, and not %s", out.State, wantTask)
				}
				ended <- err
			}()
		}
		for range runners {
			require.NoError(r, <-ended)
		}
		d, err := one.Task(t.Context(), made.TaskID)
		require.NoError(r, err)
		require.Empty(r, h.wrong)
		for i, s := range d.Steps {
			require.Equal(r, want[i].state, s.State, s.Name)
			require.Equal(r, want[i].outcomes, outcomes(s), s.Name)
			require.Equal(r, len(want[i].outcomes), h.runs[s.Name], s.Name)
			require.Equal(r, len(want[i].outcomes), s.Attempts, s.Name)
			if s.State == orchestration.StepComplete {
				require.Equal(r, fmt.Sprint(s.Attempts), string(s.Results()))
			}
			requireChain(r, s.Transitions, string(s.State), orchestration.StepTransitions)
		}
		requireChain(r, d.Transitions, string(d.State), orchestration.TaskTransitions)
	})
}

func outcomes(s orchestration.StepDetail) []string {
	var list []string
	for _, a := range s.History {
		list = append(list, a.Outcome)
	}
	return list
}

// requireChain checks that each transition begins in the state where the one before
// ended, and that the table allows it.
func requireChain[S ~string](t require.TestingT, list []orchestration.Transition, last string, table map[S][]S) {
	at := "pending"
	for _, w := range list {
		if w.From == "" { // the first transition of a task
			require.Equal(t, "pending", w.To)
			continue
		}
		require.Equal(t, at, w.From)
		require.Contains(t, table[S(w.From)], S(w.To))
		at = w.To
	}
	require.Equal(t, last, at)
}

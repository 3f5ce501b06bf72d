package orchestration

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var allStepStates = []StepState{
	StepPending, StepInProgress, StepWaitingForRetry, StepComplete, StepInError, StepCancelled, StepResolvedManually,
}

// finalize agrees with a second definition, which asks for each step what can still
// happen to it. The test covers every combination of states in every graph of up to
// three steps.
func TestFinalizeOnEveryCombination(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for n := 1; n <= 3; n++ {
		pairs := n * (n - 1) / 2
		for edges := range 1 << pairs {
			for code := range pow(len(allStepStates), n) {
				for waits := range 1 << n {
					steps := combination(n, edges, code, waits, now)
					require.Equal(t, expectedVerdict(steps, now), finalize(steps, now), "%+v", steps)
				}
			}
		}
	}
}

func pow(b, n int) int {
	p := 1
	for range n {
		p *= b
	}
	return p
}

// combination decodes its numbers into steps: edges has a bit for each pair, code a
// digit for each state, and waits a bit for each step whose retry is not due yet.
func combination(n, edges, code, waits int, now time.Time) []stepView {
	steps := make([]stepView, n)
	bit := 0
	for i := range steps {
		steps[i] = stepView{state: allStepStates[code%len(allStepStates)], limit: 3, retries: true}
		code /= len(allStepStates)
		if steps[i].state == StepWaitingForRetry {
			steps[i].attempts = 1
			steps[i].dueAt = now
			if waits&(1<<i) != 0 {
				steps[i].dueAt = now.Add(time.Duration(i+1) * time.Minute)
			}
		}
		for p := range i {
			if edges&(1<<bit) != 0 {
				steps[i].parents = append(steps[i].parents, p)
			}
			bit++
		}
	}
	return steps
}

// expectedVerdict is the table of docs/engine.md, row by row.
func expectedVerdict(steps []stepView, now time.Time) verdict {
	is := func(states ...StepState) func(stepView) bool {
		return func(s stepView) bool { return slices.Contains(states, s.state) }
	}
	free := func(s stepView) bool { // all its parents are done
		for _, p := range s.parents {
			if !is(StepComplete, StepResolvedManually)(steps[p]) {
				return false
			}
		}
		return true
	}
	open := func(s stepView) bool { return is(StepPending, StepWaitingForRetry)(s) && free(s) }
	if slices.ContainsFunc(steps, is(StepInProgress)) ||
		slices.ContainsFunc(steps, func(s stepView) bool { return open(s) && !s.dueAt.After(now) }) {
		return verdict{state: TaskInProgress}
	}
	var due []time.Time
	for _, s := range steps {
		if open(s) {
			due = append(due, s.dueAt)
		}
	}
	switch {
	case len(due) > 0:
		return verdict{state: TaskInProgress, next: slices.MinFunc(due, time.Time.Compare)}
	case !slices.ContainsFunc(steps, func(s stepView) bool { return !s.state.Done() }):
		return verdict{state: TaskComplete}
	case slices.ContainsFunc(steps, is(StepInError)):
		return verdict{state: TaskInError}
	case slices.ContainsFunc(steps, is(StepCancelled)):
		return verdict{state: TaskCancelled}
	}
	return verdict{state: TaskInError}
}

func TestViable(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	done, open := stepView{state: StepComplete}, stepView{state: StepInProgress}
	for name, c := range map[string]struct {
		step   stepView
		parent stepView
		want   bool
	}{
		"first attempt":                      {stepView{state: StepPending, limit: 3, retries: true}, done, true},
		"first attempt, not retryable":       {stepView{state: StepPending, limit: 3}, done, true},
		"first attempt, limit 0":             {stepView{state: StepPending}, done, true},
		"parent resolved":                    {stepView{state: StepPending}, stepView{state: StepResolvedManually}, true},
		"parent runs":                        {stepView{state: StepPending}, open, false},
		"parent failed":                      {stepView{state: StepPending}, stepView{state: StepInError}, false},
		"retry that is due":                  {stepView{state: StepWaitingForRetry, attempts: 1, limit: 2, retries: true, dueAt: now}, done, true},
		"retry that is not due":              {stepView{state: StepWaitingForRetry, attempts: 1, limit: 2, retries: true, dueAt: now.Add(1)}, done, false},
		"no attempt left":                    {stepView{state: StepWaitingForRetry, attempts: 2, limit: 2, retries: true, dueAt: now}, done, false},
		"it runs":                            {open, done, false},
		"it is complete":                     {done, done, false},
		"it failed":                          {stepView{state: StepInError, attempts: 1, limit: 2, retries: true}, done, false},
		"it was cancelled":                   {stepView{state: StepCancelled}, done, false},
		"second attempt of a single attempt": {stepView{state: StepPending, attempts: 1, limit: 9}, done, false},
	} {
		c.step.parents = []int{1}
		require.Equal(t, c.want, viable([]stepView{c.step, c.parent}, 0, now), name)
	}
}

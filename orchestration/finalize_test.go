package orchestration

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/templates"
)

var allStepStates = []StepState{
	StepPending, StepInProgress, StepWaitingForRetry, StepComplete, StepInError, StepCancelled, StepResolvedManually,
}

// Every combination of states of every graph of up to three steps, against a
// definition that is written from the other end: what each step can still come to.
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

// combination makes the steps that the numbers stand for: a bit of edges for
// each pair, a digit of code for each state, a bit of waits for each step whose
// retry is not due yet.
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

// expectedVerdict is the table of docs/engine.md, read row by row.
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

func TestRetryDecision(t *testing.T) {
	t.Parallel()
	for attempts := 1; attempts <= 4; attempts++ {
		for limit := 0; limit <= 4; limit++ {
			for _, retryable := range []bool{true, false} {
				for _, permanent := range []bool{true, false} {
					want := StepInError
					if retryable && !permanent && attempts < limit {
						want = StepWaitingForRetry
					}
					require.Equal(t, want, retryDecision(retryable, permanent, attempts, limit))
				}
			}
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	asked := func(s float64) *time.Duration { d := seconds(s); return &d }
	standard := templates.DefaultBackoff()
	with := func(change func(*templates.Backoff)) templates.Backoff {
		b := standard
		change(&b)
		return b
	}
	fine := with(func(b *templates.Backoff) { b.Base, b.Min, b.Jitter = seconds(0.25), 0, 0 })
	linear := with(func(b *templates.Backoff) {
		b.Curve, b.Base, b.Max, b.Min, b.Jitter = templates.CurveLinear, seconds(2), seconds(5), 0, 0
	})
	none := with(func(b *templates.Backoff) { b.Curve = templates.CurveNone })
	for name, c := range map[string]struct {
		backoff templates.Backoff
		attempt int
		asked   *time.Duration
		random  float64
		want    time.Duration
	}{
		"first, middle of the jitter":      {standard, 1, nil, 0.5, seconds(1)},
		"first, below the shortest wait":   {standard, 1, nil, 0, seconds(1)},
		"second":                           {standard, 2, nil, 0.5, seconds(2)},
		"second, low":                      {standard, 2, nil, 0, seconds(1.8)},
		"ninth":                            {standard, 9, nil, 0.5, seconds(256)},
		"tenth is capped":                  {standard, 10, nil, 0.5, seconds(300)},
		"the cap holds for jitter too":     {standard, 10, nil, 0.999, seconds(300)},
		"far beyond any number":            {standard, 5000, nil, 0.5, seconds(300)},
		"fractions":                        {fine, 1, nil, 0.5, seconds(0.25)},
		"linear":                           {linear, 2, nil, 0.5, seconds(4)},
		"linear, capped":                   {linear, 3, nil, 0.5, seconds(5)},
		"none":                             {none, 7, nil, 0.5, 0},
		"asked for":                        {standard, 1, asked(42.5), 0.5, seconds(42.5)},
		"asked for, before none":           {none, 1, asked(3), 0.5, seconds(3)},
		"asked for too much":               {standard, 1, asked(4000), 0.5, seconds(300)},
		"asked for nothing":                {standard, 9, asked(0), 0.5, 0},
		"asked for the past, as by a date": {standard, 9, asked(-5), 0.5, 0},
	} {
		require.Equal(t, c.want, backoff(c.backoff, c.attempt, c.asked, c.random), name)
	}
}

// Whatever the template says, a wait is between its bounds, and without jitter
// it never gets shorter.
func TestBackoffStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := templates.Backoff{
			Curve:  rapid.SampledFrom([]templates.Curve{templates.CurveLinear, templates.CurveExponential}).Draw(t, "curve"),
			Max:    time.Duration(rapid.Int64Range(1, int64(48*time.Hour)).Draw(t, "max")),
			Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		b.Base = time.Duration(rapid.Int64Range(0, int64(b.Max)).Draw(t, "base"))
		attempt := rapid.IntRange(1, 1<<20).Draw(t, "attempt")
		wait := backoff(b, attempt, nil, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		require.GreaterOrEqual(t, wait, b.Min)
		require.LessOrEqual(t, wait, b.Max)
		b.Jitter = 0
		require.LessOrEqual(t, backoff(b, attempt, nil, 0.5), backoff(b, attempt+1, nil, 0.5))
	})
}

// From every state that is not final something leads on, and nothing leads out
// of those that are an end for good.
func TestTransitionTables(t *testing.T) {
	t.Parallel()
	for _, s := range allStepStates {
		_, known := StepTransitions[s]
		require.True(t, known, s)
	}
	require.Len(t, StepTransitions, len(allStepStates))
	require.Len(t, TaskTransitions, 6)
	for from, targets := range StepTransitions {
		for _, to := range targets {
			require.Contains(t, StepTransitions, to)
			require.NotEqual(t, from, to)
		}
		require.Equal(t, from.Done() || from == StepCancelled, len(targets) == 0, from)
	}
	for from, targets := range TaskTransitions {
		for _, to := range targets {
			require.Contains(t, TaskTransitions, to)
			require.NotEqual(t, from, to)
		}
		require.Equal(t, from == TaskComplete || from == TaskCancelled || from == TaskResolvedManually, len(targets) == 0, from)
	}
}

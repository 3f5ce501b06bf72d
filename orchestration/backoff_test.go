package orchestration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/templates"
)

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
	month := with(func(b *templates.Backoff) { b.Max = seconds(31 * 86400) })
	none := with(func(b *templates.Backoff) { b.Curve = templates.CurveNone })
	for name, c := range map[string]struct {
		backoff templates.Backoff
		attempt int
		asked   *time.Duration
		random  float64
		want    time.Duration
	}{
		"first, middle of the jitter":            {standard, 1, nil, 0.5, seconds(1)},
		"first, below the shortest wait":         {standard, 1, nil, 0, seconds(1)},
		"second":                                 {standard, 2, nil, 0.5, seconds(2)},
		"second, low":                            {standard, 2, nil, 0, seconds(1.8)},
		"ninth":                                  {standard, 9, nil, 0.5, seconds(256)},
		"tenth is capped":                        {standard, 10, nil, 0.5, seconds(300)},
		"the cap holds for jitter too":           {standard, 10, nil, 0.999, seconds(300)},
		"far beyond any number":                  {standard, 5000, nil, 0.5, seconds(300)},
		"fractions":                              {fine, 1, nil, 0.5, seconds(0.25)},
		"linear":                                 {linear, 2, nil, 0.5, seconds(4)},
		"linear, capped":                         {linear, 3, nil, 0.5, seconds(5)},
		"none":                                   {none, 7, nil, 0.5, 0},
		"asked for":                              {standard, 1, asked(42.5), 0.5, seconds(42.5)},
		"asked for, before none":                 {none, 1, asked(3), 0.5, seconds(3)},
		"asked for too much":                     {standard, 1, asked(4000), 0.5, seconds(300)},
		"asked for as much as the step may wait": {month, 1, asked(30 * 86400), 0.5, seconds(30 * 86400)},
		"asked for nothing":                      {standard, 9, asked(0), 0.5, 0},
		"asked for the past, as by a date":       {standard, 9, asked(-5), 0.5, 0},
	} {
		require.Equal(t, c.want, backoff(c.backoff, c.attempt, c.asked, c.random), name)
	}
}

// For every template, a wait stays within its bounds. Without jitter it never becomes
// shorter.
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

package verdict

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRules has each rule of a verdict about a series that changed, with a budget of 1.
func TestRules(t *testing.T) {
	t.Parallel()
	never := math.Inf(1)
	for _, c := range []struct {
		name      string
		low, high float64
		change    Change
		growth    Growth
		reason    Reason
	}{
		{"flat before and after", -1, 0.5, Change{After: 0.1, Low: -0.2, High: 0.4}, Flat, Decided},
		{"flat as a whole, and perhaps not after", -1, 0.5, Change{After: 0.1, Low: -2, High: 3}, Undecided, Noisy},
		{"flat as a whole, and surely not after", -1, 0.5, Change{After: 3, Low: 2, High: 4}, Leak, Decided},
		{"too little follows", -1, 0.5, Change{Jump: 500, After: 0, Low: -never, High: never}, Undecided, Late},
		{"too little follows, and it is small", -1, 0.5, Change{Jump: 5, After: 0.1, Low: -never, High: never}, Flat, Decided},
		{"a step in a leak", 2, 4, Change{Before: 3, After: 3, Low: 0.5, High: 6}, Leak, Decided},
		{"a leak, and too little follows", 2, 4, Change{Jump: 500, Before: 3, After: 5, Low: -never, High: never}, Undecided, Late},
		{"a leak, and too little follows a change that is small", 2, 4, Change{Jump: 50, Before: 3, After: 5, Low: -never, High: never}, Leak, Decided},
		{"a leak, and too little follows, which slows", 2, 4, Change{Jump: 50, Before: 3, After: 2, Low: -never, High: never}, Undecided, Late},
		{"too little follows, and only that grows", 2, 4, Change{Jump: 50, Before: 0.5, After: 9, Low: -never, High: never}, Undecided, Late},
		{"a leak that ended", 2, 4, Change{Before: 5, After: 0.1, Low: -0.2, High: 0.4}, Undecided, Settling},
		{"a leak that slows", 2, 4, Change{Before: 5, After: 2, Low: 1.5, High: 2.5}, Undecided, Slowing},
		{"a fall after which it is flat", -9, 3, Change{Jump: -500, Before: 0.1, After: 0.1, Low: -0.2, High: 0.4}, Undecided, Late},
	} {
		c.change.Step = 900
		m := Measure{Slope: (c.low + c.high) / 2, Low: c.low, High: c.high, LastStep: 1000, Change: &c.change}
		growth, reason := m.decide(1)
		require.Equal(t, c.growth, growth, c.name)
		require.Equal(t, c.reason, reason, c.name)
	}
}

// TestConfirmed has a leak that ended before the second half.
func TestConfirmed(t *testing.T) {
	t.Parallel()
	p := points{quantum: 1}
	for i := range 100 {
		p.x = append(p.x, float64(i))
		p.y = append(p.y, 10*math.Min(float64(i), 45))
	}
	require.False(t, confirmed(p, p, false, 1, 0.99))
	require.True(t, confirmed(p.between(0, 40), p.between(0, 40), false, 1, 0.99))

	// After a curve the second half must prove it: 2 bytes a step in this noise do not.
	r := rand.New(rand.NewPCG(1, 4))
	for i := range p.y {
		p.y[i] = 2*p.x[i] + 60*r.NormFloat64()
	}
	require.True(t, confirmed(p, p, false, 1, 0.99))
	require.False(t, confirmed(p, p, true, 1, 0.99))
}

// TestChangeIsAskedTwice compares the interval after a change with that of the same samples
// judged alone.
func TestChangeIsAskedTwice(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 5))
	p := points{quantum: 1}
	for i := range 100 {
		p.x = append(p.x, float64(i))
		p.y = append(p.y, 100*math.Max(0, float64(i)-40)+100*r.NormFloat64())
	}
	c := findChange(p, p, 0.99)
	require.NotNil(t, c)
	require.InDelta(t, 40, c.Step, 5)
	after := p.from(int(c.Step))
	alone := fitTrend(after, after, 0.99)
	require.Equal(t, alone.slope, c.After)
	require.Greater(t, c.High-c.Low, 1.05*(alone.high-alone.low))
}

// TestReaches compares the forecast of the interval with longer runs of the same noise.
func TestReaches(t *testing.T) {
	t.Parallel()
	for name, noise := range map[string]func(*rand.Rand, int) []float64{"white": white, "AR(1)": autoregressive(0.6), "walk": walk} {
		r := rand.New(rand.NewPCG(1, 6))
		run := func(n int) (points, trend) {
			p := series(noise(r, n), 1e6, 0).exact()
			return p, fitTrend(p, p, 0.99)
		}
		for _, factor := range []int{2, 5, 12} { // the last is beyond what is computed
			var expected, seen float64
			for range 20 {
				p, now := run(120)
				expected += now.reaches(p, float64(factor), 0.99)
				_, then := run(120 * factor)
				seen += then.half
			}
			require.InEpsilon(t, seen, expected, 0.5, "%s %d", name, factor)
		}
	}
}

package verdict

import "math"

// farthest is how many times the present length is looked ahead.
const farthest = 1000

// forecast says how many more steps would probably decide.
func (m Measure) forecast(t trend, b bend, p points, budget, confidence float64) int64 {
	span := p.span()
	few := span / float64(len(p.x)-1) * fewestAfter
	done := float64(m.LastStep-m.WarmUpEnd) + 1
	switch {
	case m.Reason == Slowing && m.Change == nil:
		// The slope falls by the same ratio in each half of the run. Where it is half the
		// budget, the warm-up ends, and it may be half of the samples.
		ratio := min(max(b.second/b.first, 0.01), slowed)
		halves := max(math.Log(budget/2/b.first)/math.Log(ratio), 0)
		return int64(math.Ceil(max(halves*span-done, few)))
	case m.Reason == Fading:
		return int64(math.Ceil(span)) // the second half becomes a run of its own
	case m.Reason == Late && m.Change == nil:
		return int64(math.Ceil(few))
	case m.Change != nil && m.Reason != Noisy:
		// What was before the change must become the half that may be dropped. A few
		// samples more say whether it was a warm-up.
		before := float64(m.Change.Step - m.WarmUpEnd)
		return int64(math.Ceil(max(2*before-done, 0) + few))
	}
	distance := math.Abs(budget - m.Slope)
	for factor := 1.1; factor <= farthest; factor *= 1.1 {
		if t.reaches(p, factor, confidence) < distance {
			return int64(math.Ceil(span * (factor - 1)))
		}
	}
	return 0
}

// reaches is half the width of the interval that a run longer by factor would have, with
// the same noise at the same distance between samples.
func (t trend) reaches(p points, factor, confidence float64) float64 {
	wanted := float64(len(p.x)) * factor
	n := min(wanted, maxSamples)
	spacing := p.span() / float64(len(p.x)-1)
	deviation, effective := t.noise.over(evenly(int(n), spacing))
	// Beyond what is worth computing, it shrinks as it did over the last doubling.
	half, _ := t.noise.over(evenly(int(n/2), spacing))
	power := math.Log2(half / deviation)
	deviation *= math.Pow(n/wanted, power)
	future := noise{effective: effective * wanted / n}
	return future.quantile(confidence)*deviation + t.rounding/factor
}

func evenly(n int, spacing float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(i) * spacing
	}
	return x
}

package verdict

import "math"

// Change is a place after the warm-up where the line breaks.
type Change struct {
	Step          int64   // the first step of what follows
	Jump          float64 // the level after it less the level before it, bytes
	Before, After float64 // slopes in bytes a step
	Low, High     float64 // the interval of After; infinite with fewer than ten samples
}

// fewestAfter is the number of samples after a change below which they have no interval.
const fewestAfter = 10

func findChange(p, clean points, confidence float64) *Change {
	at := lateChange(clean)
	if at == 0 {
		return nil
	}
	before, after := p.between(0, at), p.from(at)
	c := &Change{Step: p.step(at), Before: theilSen(before), After: theilSen(after), Low: math.Inf(-1), High: math.Inf(1)}
	c.Jump = median(after.along(c.After, p.x[at])) - median(before.along(c.Before, p.x[at]))
	if len(after.x) >= fewestAfter {
		// A second question was asked of the same samples.
		t := fitTrend(after, clean.from(at), 1-(1-confidence)/2)
		c.Low, c.High = t.low, t.high
	}
	return c
}

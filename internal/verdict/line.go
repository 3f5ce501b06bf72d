package verdict

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// trend is a slope with its interval, in bytes a step.
type trend struct {
	slope, low, high float64
	noise            noise
	rounding         float64 // the part of the interval that comes from the quantum
	half             float64 // half the width, without rounding
}

func fitTrend(p, clean points, confidence float64) trend {
	return trendOf(theilSen(p), p, clean, confidence)
}

func trendOf(slope float64, p, clean points, confidence float64) trend {
	t := trend{slope: slope}
	t.noise = fitNoise(clean, clean.residuals(t.slope), 1)
	t.half = t.noise.quantile(confidence) * t.noise.slopeError
	// Noise of the size of the quantum makes smaller growth visible; without it, growth by
	// less than one quantum is not seen at all.
	beside := clean.residuals(t.slope)
	visible := math.Sqrt(floats.Dot(beside, beside)/float64(len(beside))) / p.quantum
	t.rounding = max(0, 1-visible) * p.quantum / p.span()
	t.low = t.slope - t.half - t.rounding
	t.high = t.slope + t.half + t.rounding
	return t
}

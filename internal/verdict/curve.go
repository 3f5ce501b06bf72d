package verdict

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// besideCurve returns what remains beside the best polynomial of the degree.
func besideCurve(p points, degree int) []float64 {
	n := len(p.x)
	left := make([]float64, n)
	if n <= degree+1 {
		return left // the curve goes through all of them
	}
	copy(left, p.residuals(0))
	var basis [][]float64
	for d := range degree + 1 {
		column := make([]float64, n)
		for i := range column {
			column[i] = math.Pow(2*(p.x[i]-p.x[0])/p.span()-1, float64(d))
		}
		for _, b := range basis {
			floats.AddScaled(column, -floats.Dot(b, column), b)
		}
		floats.Scale(1/floats.Norm(column, 2), column)
		basis = append(basis, column)
		floats.AddScaled(left, -floats.Dot(column, left), column)
	}
	return left
}

// bend compares the slopes of the two halves.
type bend struct {
	first, second float64 // bytes a step
	sure          bool    // the difference is larger than the noise explains
}

// findBend measures the noise beside a cubic curve, so that a smooth curve is none. A walk
// keeps its innovations, so that its turns by chance are.
func findBend(p, clean points, confidence float64) bend {
	half := len(p.x) / 2
	b := bend{first: theilSen(p.between(0, half)), second: theilSen(p.from(half))}
	noise := fitNoise(clean, besideCurve(clean, 3), 2)
	each, _ := noise.over(p.x[half:])
	b.sure = math.Abs(b.first-b.second) > noise.quantile(confidence)*math.Sqrt2*each
	return b
}

// slowing says whether it grows ever more slowly: a cache may be filling.
func (b bend) slowing() bool { return b.sure && b.first > 0 && b.second < slowed*b.first }

// endWindows are the numbers of last samples that are compared with the line.
var endWindows = []int{2, 4, 8}

// endLimit is how many standard deviations they may lie above it.
const endLimit = 4.5

// risesAtEnd says whether the last samples leave the line upwards, faster than the
// budget. They are too few for a slope, and too many to be called flat.
func risesAtEnd(clean points, budget float64) bool {
	longest := endWindows[len(endWindows)-1]
	before := clean.between(0, len(clean.x)-longest)
	slope := theilSen(before)
	noise := fitNoise(before, before.residuals(slope), 1)
	level := median(before.along(slope, clean.x[0]))
	excess := clean.along(slope, clean.x[0])
	for _, size := range endWindows {
		from := len(excess) - size
		above := median(excess[from:]) - level
		during := clean.x[len(clean.x)-1] - clean.x[from-1]
		if above > endLimit*noise.ofMean(size) && above > budget*during {
			return true
		}
	}
	return false
}

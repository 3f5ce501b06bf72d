package verdict

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// theilSen returns the median of the slopes of all pairs: up to 29 % of the samples may
// be arbitrarily wrong before it is.
func theilSen(p points) float64 {
	n := len(p.x)
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := range n {
		for j := i + 1; j < n; j++ {
			slopes = append(slopes, (p.y[j]-p.y[i])/(p.x[j]-p.x[i]))
		}
	}
	return medianOf(slopes)
}

// median leaves its argument as it is.
func median(v []float64) float64 { return medianOf(slices.Clone(v)) }

// medianOf reorders its argument.
func medianOf(v []float64) float64 {
	n := len(v)
	upper := nth(v, n/2)
	if n%2 == 1 {
		return upper
	}
	return (slices.Max(v[:n/2]) + upper) / 2
}

// nth returns the value that sorting would put at k, with all smaller ones before it.
// It is here because sorting all pairs takes ten times as long.
func nth(v []float64, k int) float64 {
	lo, hi := 0, len(v)-1
	for lo < hi {
		pivot := v[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return v[k]
		}
	}
	return v[k]
}

// outlierScale is how many standard deviations a sample lies from its neighbours before
// it is an outlier.
const outlierScale = 5

// cleaned returns the series with isolated outliers moved to the median of their
// neighbourhood (Hampel's filter), and how many there were. An outlier stands out from
// both sides: a step, which lasts, is none, nor is the tip of a sawtooth. The first and
// the last two samples stay, because a step may begin there. The slope is taken out
// before, so that growth does not blur what stands out.
func (p points) cleaned(slope float64) (points, int) {
	flat := p.along(slope, p.x[0])
	// A value exactly at the limit must not depend on rounding.
	limit := outlierScale * (1 + 1e-9) * p.roughness(flat)
	clean := slices.Clone(p.y)
	count := 0
	for i := 2; i < len(flat)-2; i++ {
		middle := median(flat[i-2 : i+3])
		away := flat[i] - middle
		sign := math.Copysign(1, away)
		left := max(sign*(flat[i]-flat[i-1]), sign*(flat[i]-flat[i-2]))
		right := max(sign*(flat[i]-flat[i+1]), sign*(flat[i]-flat[i+2]))
		if min(sign*away, left, right) > limit {
			clean[i] -= away
			count++
		}
	}
	if count > len(flat)/10 {
		return p, 0 // what is so frequent is how the measure moves
	}
	return points{x: p.x, y: clean, origin: p.origin, quantum: p.quantum}, count
}

// roughness is the standard deviation of noise from sample to sample: a sample against
// the line from the one before to the one after. In a series that hardly moves it is the
// unit of the measure, so that going up and down by one is noise.
func (p points) roughness(y []float64) float64 {
	bends := make([]float64, 0, len(y))
	for i := 1; i < len(y)-1; i++ {
		part := (p.x[i] - p.x[i-1]) / (p.x[i+1] - p.x[i-1])
		bends = append(bends, math.Abs(y[i]-y[i-1]-part*(y[i+1]-y[i-1])))
	}
	return max(1.4826/math.Sqrt(1.5)*medianOf(bends), p.quantum)
}

// along are the values, moved along the slope to step x.
func (p points) along(slope, x float64) []float64 {
	v := make([]float64, len(p.y))
	for i := range v {
		v[i] = p.y[i] - slope*(p.x[i]-x)
	}
	return v
}

// residuals are what remains after a line of the given slope, with mean 0.
func (p points) residuals(slope float64) []float64 {
	r := p.along(slope, p.x[0])
	floats.AddConst(-stat.Mean(r, nil), r)
	return r
}

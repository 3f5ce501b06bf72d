package verdict

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// noise describes what remains beside the line as an autoregressive process of the first
// order. At 0 it is white; near 1 it is a walk, as rare large leaks and steps make it.
type noise struct {
	seen       float64 // the autocorrelation of neighbours, as it is in the residuals
	rho        float64 // the same, corrected for bias and raised by its own uncertainty
	innovation float64 // the standard deviation of what is new in each sample, bytes
	slopeError float64 // the standard error of the slope, bytes a step
	effective  float64 // independent samples that would tell as much of the slope
	size       float64 // samples in a batch
}

// fewestBatches is the number of batches below which their noise is not asked.
const fewestBatches = 24

// fitNoise describes the residuals of a line through p, or of several side by side.
//
// Noise of two kinds at once, a slow movement under fast noise, looks white from one
// sample to the next. So it is described again in batches of 2, 4, 8 … samples, where
// the fast one has been averaged away, and the description with the larger standard
// error counts.
func fitNoise(p points, residuals []float64, lines int) noise {
	short := len(residuals) < 2*fewestBatches
	found := describe(p, residuals, lines, short)
	found.size = 1
	for size := 2; len(residuals)/size >= fewestBatches; size *= 2 {
		p, residuals := batches(p, residuals, size)
		if v := describe(p, residuals, lines, false); v.slopeError > found.slopeError {
			v.seen, v.size = found.seen, float64(size)
			found = v
		}
	}
	return found
}

// batches are means of size neighbours. The last one takes what is left over.
func batches(p points, residuals []float64, size int) (points, []float64) {
	joined := points{quantum: p.quantum / math.Sqrt(float64(size))}
	var means []float64
	for i := 0; i+size <= len(residuals); i += size {
		end := i + size
		if end+size > len(residuals) {
			end = len(residuals)
		}
		joined.x = append(joined.x, stat.Mean(p.x[i:end], nil))
		means = append(means, stat.Mean(residuals[i:end], nil))
	}
	return joined, means
}

func describe(p points, residuals []float64, lines int, short bool) noise {
	n := float64(len(residuals))
	var v noise
	power := floats.Dot(residuals, residuals)
	if power > 0 {
		v.seen = floats.Dot(residuals[1:], residuals[:len(residuals)-1]) / power * n / (n - 1)
	}
	// A line takes away part of the slow movement, so the estimate is too low by
	// (2+4*rho)/n for each line (Kendall 1954, for a trend).
	lost := float64(2 * lines)
	v.rho = (n*v.seen + lost) / (n - 2*lost)
	// Noise that is taken for calmer than it is raises false alarms, so the estimate is
	// raised by its own uncertainty where it is high. Half as much again brought those
	// under a walk from 2.8 to 1.7 %, and costs white noise nothing. A short series, which
	// no batches check, is always raised.
	share := 1.5 * max(v.rho, 0)
	if short {
		share = max(share, 1)
	}
	v.rho += share * math.Sqrt(max(0, 1-v.rho*v.rho)/n)
	v.rho = min(max(v.rho, 0), 1-0.1/n)

	gap := gaps(p.x)
	sum := 0.0
	for i := 1; i < len(residuals); i++ {
		r := decay(v.rho, gap[i-1])
		d := residuals[i] - r*residuals[i-1]
		// An innovation over a longer gap is larger.
		sum += d * d * (1 - v.rho*v.rho) / (1 - r*r)
	}
	v.innovation = math.Sqrt(sum/max(n-1-2*float64(lines), 1) + p.quantum*p.quantum/12)
	v.slopeError, v.effective = slopeError(p.x, gap, v.rho, v.innovation)
	return v
}

// decay is the correlation over a gap. Most gaps are 1, and a power is slow.
func decay(rho, gap float64) float64 {
	if gap == 1 {
		return rho
	}
	return math.Pow(rho, gap)
}

// gaps are the distances of neighbours, in units of their median.
func gaps(x []float64) []float64 {
	gap := make([]float64, len(x)-1)
	for i := range gap {
		gap[i] = x[i+1] - x[i]
	}
	floats.Scale(1/median(gap), gap)
	return gap
}

// senLoss is how much larger the variance of Theil-Sen is than that of least squares
// under normal noise (Sen 1968: pi/3).
const senLoss = math.Pi / 3

// slopeError is exact for a line by least squares through noise of this kind at these
// steps. It also returns the effective number of samples.
func slopeError(x, gap []float64, rho, innovation float64) (deviation, effective float64) {
	mean := stat.Mean(x, nil)
	var weights, covered, carried float64
	for i := range x {
		w := x[i] - mean
		if i > 0 {
			carried *= decay(rho, gap[i-1])
		}
		weights += w * w
		covered += w * (w + 2*carried)
		carried += w
	}
	variance := innovation * innovation / (1 - rho*rho)
	inflation := covered / weights
	return math.Sqrt(senLoss * variance * inflation / weights), float64(len(x)) / max(inflation, 1)
}

// longRun is the variance of n*mean over n, for large n: what counts for slow changes.
func (v noise) longRun() float64 {
	scale := v.innovation / (1 - min(v.rho, 0.97))
	return scale * scale * v.size
}

// over is the standard error of a slope through samples at other steps, and their
// effective number.
func (v noise) over(x []float64) (deviation, effective float64) {
	size := int(v.size)
	joined := make([]float64, 0, len(x)/size+1)
	for i := 0; i+size <= len(x); i += size {
		joined = append(joined, stat.Mean(x[i:i+size], nil))
	}
	return slopeError(joined, gaps(joined), v.rho, v.innovation)
}

// ofMean is the standard deviation of the mean of size neighbours.
func (v noise) ofMean(size int) float64 {
	alone := v.innovation / math.Sqrt(1-v.rho*v.rho)
	return min(alone, math.Sqrt(v.longRun()/float64(size)))
}

// quantile is how many standard errors the interval reaches at each side.
func (v noise) quantile(confidence float64) float64 {
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: max(v.effective-2, fewestDegrees)}
	return t.Quantile(1 - (1-confidence)/2)
}

// fewestDegrees of freedom are used, because noise that is nearly a walk has few effective
// samples and yet as many innovations as there are samples.
const fewestDegrees = 6

package verdict

import (
	"math"
	"math/rand/v2"

	"github.com/tasker-rb/tasker-rb/internal/effort"
)

// A simulation is noise of one kind, about as large as one byte, over samples at even
// distances. Its leak is added by the test.
type simulation struct {
	name   string
	noise  func(r *rand.Rand, n int) []float64
	hard   bool // moves so slowly that a run holds two or three independent values
	curved bool // grows at first, so that its slope is not 0
	first  bool // is tried always; the others by make test/thorough
	late   bool // may change near the end, so that a run may have to go on
}

func white(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = r.NormFloat64()
	}
	return v
}

// autoregressive has a standard deviation of 1 and begins in its stationary state.
func autoregressive(rho float64) func(*rand.Rand, int) []float64 {
	return func(r *rand.Rand, n int) []float64 {
		v := white(r, n)
		for i := 1; i < n; i++ {
			v[i] = rho*v[i-1] + math.Sqrt(1-rho*rho)*v[i]
		}
		return v
	}
}

// reverting is a walk that is pulled back slowly, under white noise of half its size.
func reverting(r *rand.Rand, n int) []float64 {
	v := autoregressive(0.95)(r, n)
	for i, w := range white(r, n) {
		v[i] += w / 2
	}
	return v
}

// walk never comes back: as many rare large leaks and frees make it.
func walk(r *rand.Rand, n int) []float64 {
	v := white(r, n)
	for i := 1; i < n; i++ {
		v[i] += v[i-1]
	}
	return v
}

// sawtooth rises for a period and falls at once, from a random phase, with some noise.
func sawtooth(periods float64) func(*rand.Rand, int) []float64 {
	return func(r *rand.Rand, n int) []float64 {
		v, phase := white(r, n), r.Float64()
		for i := range v {
			_, part := math.Modf(phase + float64(i)*periods/float64(n))
			v[i] = 0.05*v[i] + part
		}
		return v
	}
}

// earlyStep is a cache made once in the first 45 % of the run.
func earlyStep(r *rand.Rand, n int) []float64 {
	v, at := white(r, n), int(float64(n)*0.45*r.Float64())
	for i := range v {
		if i >= at {
			v[i] += 30
		}
	}
	return v
}

func anyStep(r *rand.Rand, n int) []float64 {
	v, at := white(r, n), r.IntN(n)
	for i := range v {
		if i >= at {
			v[i] += 30
		}
	}
	return v
}

func heavyTails(r *rand.Rand, n int) []float64 {
	v := white(r, n)
	for i := range v {
		chi := 0.0
		for range 3 {
			c := r.NormFloat64()
			chi += c * c
		}
		v[i] /= math.Sqrt(chi / 3)
	}
	return v
}

func outliers(r *rand.Rand, n int) []float64 {
	v := white(r, n)
	for i := range v {
		if r.Float64() < 0.05 {
			v[i] += 50 * (r.Float64() - 0.2)
		}
	}
	return v
}

// quantised moves in units of twice its noise, so most samples are the same.
func quantised(r *rand.Rand, n int) []float64 {
	v := white(r, n)
	for i := range v {
		v[i] = 2 * math.Round(v[i]/2)
	}
	return v
}

// saturating fills a bounded cache with a time constant of a tenth of the run.
func saturating(r *rand.Rand, n int) []float64 {
	v := white(r, n)
	for i := range v {
		v[i] += 100 * (1 - math.Exp(-10*float64(i)/float64(n)))
	}
	return v
}

var simulations = []simulation{
	{name: "white noise", noise: white},
	{name: "AR(1), rho 0.3", noise: autoregressive(0.3)},
	{name: "AR(1), rho 0.6", noise: autoregressive(0.6)},
	{name: "AR(1), rho 0.9", noise: autoregressive(0.9), first: true},
	{name: "reverting walk and white noise", noise: reverting, hard: true, first: true},
	{name: "walk", noise: walk, hard: true, first: true},
	{name: "sawtooth, 3 periods", noise: sawtooth(3)},
	{name: "sawtooth, 8 periods", noise: sawtooth(8)},
	{name: "sawtooth, 30 periods", noise: sawtooth(30)},
	{name: "a step in the first 45 %", noise: earlyStep, first: true},
	{name: "a step anywhere", noise: anyStep, late: true},
	{name: "heavy tails (t, 3 degrees)", noise: heavyTails},
	{name: "5 % outliers", noise: outliers},
	{name: "quantised", noise: quantised},
	{name: "a cache that fills", noise: saturating, curved: true, first: true},
}

// tried reports whether a calibration runs this noise.
func (s simulation) tried() bool { return s.first || *update || effort.Thorough() }

const stepsBetween = 200

// series turns noise into a series: scale bytes for each unit, and a leak a step.
func series(noise []float64, scale, leak float64) Series {
	s := Series{Name: "bytes in use"}
	for i, v := range noise {
		step := int64(i * stepsBetween)
		s.Samples = append(s.Samples, Sample{Step: step, Bytes: 1<<40 + int64(math.Round(scale*v+leak*float64(step)))})
	}
	return s
}

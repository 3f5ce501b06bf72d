package verdict

import (
	"math"

	"github.com/cockroachdb/errors"
)

const (
	// MinSamples is the number of samples below which there is no verdict.
	MinSamples = 40
	// maxSamples bounds the work, which grows with the square of the samples. Of a
	// longer series, neighbours are joined by their median.
	maxSamples = 800
	// largest bounds a value, so that no difference of two overflows.
	largest = int64(1) << 62
)

// Sample is what was in use at one quiet point.
type Sample struct {
	Step  int64 // steps run so far, rising from sample to sample
	Bytes int64 // bytes in use
}

// Series is one measure over time.
type Series struct {
	Name    string // as the report names it, "bytes in use"
	Samples []Sample
	// Quantum is the unit in which the measure moves, in bytes: 4096 for a size of
	// pages, 40 for slots. 0 means the largest unit that explains the values, or one
	// byte when they never differ.
	Quantum int64
}

// points is a series as numbers: steps and bytes since the first sample. The
// subtraction is done on whole numbers, so a size near 2^62 keeps its last byte.
type points struct {
	x, y    []float64
	origin  int64   // the step of the first sample
	quantum float64 // in bytes, never 0
}

func (s Series) check() error {
	if n := len(s.Samples); n < MinSamples {
		return errors.WithHintf(errors.Newf("%s has %s, and a verdict needs %d", s.title(), Count(n), MinSamples),
			"Take %d more: run longer, or sample more often.", MinSamples-n)
	}
	if s.Quantum < 0 {
		return errors.WithHint(errors.Newf("%s has a quantum of %d bytes", s.title(), s.Quantum),
			"A quantum is a size in bytes. 0 means that it is found from the values.")
	}
	for i, p := range s.Samples {
		if p.Bytes >= largest || p.Bytes <= -largest || p.Step < 0 || p.Step >= largest {
			return errors.WithHint(errors.Newf("%s: sample %d (step %d, %d bytes) is out of range", s.title(), i, p.Step, p.Bytes),
				"Steps are counted from 0. Sizes lie between -2^62 and 2^62.")
		}
		if i > 0 && p.Step <= s.Samples[i-1].Step {
			return errors.WithHint(errors.Newf("%s: sample %d is at step %d, and the one before is at step %d", s.title(), i, p.Step, s.Samples[i-1].Step),
				"Each sample needs at least one step since the one before.")
		}
	}
	return nil
}

func (s Series) title() string {
	if s.Name == "" {
		return "the series"
	}
	return s.Name
}

func (s Series) points() points { return s.exact().thinned() }

// exact has a point for each sample.
func (s Series) exact() points {
	first := s.Samples[0]
	p := points{origin: first.Step, quantum: float64(s.Quantum)}
	if s.Quantum == 0 {
		p.quantum = float64(s.unit())
	}
	for _, v := range s.Samples {
		p.x = append(p.x, float64(v.Step-first.Step))
		p.y = append(p.y, float64(v.Bytes-first.Bytes))
	}
	return p
}

// unit is the greatest common divisor of the differences.
func (s Series) unit() int64 {
	var unit int64
	for _, v := range s.Samples {
		a, b := unit, v.Bytes-s.Samples[0].Bytes
		for b != 0 {
			a, b = b, a%b
		}
		unit = max(a, -a)
	}
	return max(unit, 1)
}

// thinned joins neighbours until at most maxSamples are left.
func (p points) thinned() points {
	n := len(p.x)
	if n <= maxSamples {
		return p
	}
	size := (n + maxSamples - 1) / maxSamples
	t := points{origin: p.origin, quantum: p.quantum}
	for i := 0; i < n; i += size {
		end := min(i+size, n)
		t.x = append(t.x, median(p.x[i:end]))
		t.y = append(t.y, median(p.y[i:end]))
	}
	return t
}

func (p points) from(i int) points {
	return points{x: p.x[i:], y: p.y[i:], origin: p.origin, quantum: p.quantum}
}

// between is the part from sample i up to, and without, sample j.
func (p points) between(i, j int) points {
	return points{x: p.x[i:j], y: p.y[i:j], origin: p.origin, quantum: p.quantum}
}

func (p points) step(i int) int64 { return p.origin + int64(math.Round(p.x[i])) }

func (p points) span() float64 { return p.x[len(p.x)-1] - p.x[0] }

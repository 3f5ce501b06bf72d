package verdict

import (
	"github.com/cockroachdb/errors"
)

// Compare judges how much faster b grows than a, both sampled over the same steps, in
// turns. The verdict is flat if the difference is below the budget, and a leak if it is
// above: b, the new version, grows where a did not. What moves both in the same way, such
// as the machine or a library that both load, is in neither answer.
//
// The steps need not be the same: a is interpolated at the steps of b. The verdict has one
// measure, the difference. The error is that of [Decide], or says that the runs overlap in
// too few samples.
func Compare(a, b Series, o Options) (Verdict, error) {
	o, err := o.filled()
	if err != nil {
		return Verdict{}, err
	}
	for _, s := range []Series{a, b} {
		if err := s.check(); err != nil {
			return Verdict{}, err
		}
	}
	d := difference(a, b)
	if n := len(d.x); n < MinSamples {
		return Verdict{}, errors.WithHintf(errors.Newf("%s and %s overlap in %s, and a verdict needs %d", a.title(), b.title(), Count(n), MinSamples),
			"Run both for the same steps.")
	}
	d.quantum = float64(max(a.Quantum, b.Quantum))
	if d.quantum == 0 {
		d.quantum = float64(max(min(a.unit(), b.unit()), 1))
	}
	return decide([]string{b.title() + " less " + a.title()}, []points{d.thinned()}, o), nil
}

// difference is b less a at the steps of b that a covers, less its own first value.
func difference(a, b Series) points {
	d := points{}
	j := 0
	for _, v := range b.Samples {
		for j+1 < len(a.Samples) && a.Samples[j+1].Step <= v.Step {
			j++
		}
		at := a.Samples[j]
		if v.Step < at.Step || v.Step > a.Samples[len(a.Samples)-1].Step {
			continue
		}
		if len(d.x) == 0 {
			d.origin = v.Step
		}
		// Whole numbers first, so that two sizes near 2^62 keep the difference of one byte.
		y := float64(v.Bytes-b.Samples[0].Bytes) - float64(at.Bytes-a.Samples[0].Bytes)
		if v.Step > at.Step {
			next := a.Samples[j+1]
			y -= float64(next.Bytes-at.Bytes) * float64(v.Step-at.Step) / float64(next.Step-at.Step)
		}
		d.x = append(d.x, float64(v.Step-d.origin))
		d.y = append(d.y, y)
	}
	return d
}

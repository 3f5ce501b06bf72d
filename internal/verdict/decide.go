package verdict

import (
	"math"

	"github.com/cockroachdb/errors"
)

// Growth is the answer to "does it grow?".
type Growth int

// The three answers. The larger one decides when measures differ.
const (
	Flat      Growth = iota // the slope is below the budget
	Undecided               // the samples cannot tell
	Leak                    // the slope is above the budget, and goes on
)

func (g Growth) String() string { return [...]string{"flat", "undecided", "leak"}[g] }

// Verdict is what all measures say together.
type Verdict struct {
	Growth     Growth
	Budget     float64 // bytes a step
	Confidence float64 // of all intervals together
	Measures   []Measure
	// More is how many more steps would probably decide, at the same distance between
	// samples. 0 means that it is decided, or that no number of steps up to a thousand
	// times the present would: then the slope is too near the budget, or the budget too
	// small for the noise, and Resolvable of the measures says what they can tell.
	More int64
}

// Measure is what one series says.
type Measure struct {
	Name   string
	Growth Growth
	Reason Reason
	// Slope, Low and High are the growth and its interval, in bytes a step.
	Slope, Low, High float64
	WarmUpEnd        int64   // the first step that counts
	LastStep         int64   // the last step that counts
	Samples          int     // that count, after warm-up; of more than 800, neighbours were joined before
	Dropped          int     // samples of the warm-up
	Outliers         int     // of those that count
	Autocorrelation  float64 // of neighbours, beside the line
	EffectiveSamples float64 // independent samples that would tell as much
	Resolvable       float64 // the smallest budget that a series like this without growth would pass in 19 of 20 runs, bytes a step
	Change           *Change // a change after the warm-up, nil if there was none
	More             int64   // as Verdict.More
}

// Reason says why a measure is undecided, or that nothing was in the way.
type Reason int

// The reasons.
const (
	Decided  Reason = iota
	Noisy           // the interval holds the budget
	Late            // something changed late, and what follows is too short
	Slowing         // it grows, and ever more slowly: a cache that has not filled yet
	Settling        // it grew after the first half of the samples, and no longer does
	Fading          // it grows, and its second half alone does not
)

// Decide judges measures of one run. All must be flat for the verdict to be flat, and one
// that leaks is enough for a leak. Each interval is wide enough that all of them hold
// together (Bonferroni).
//
// The error says which series or option cannot be judged, with a hint of what to do.
func Decide(measures []Series, o Options) (Verdict, error) {
	o, err := o.filled()
	if err != nil {
		return Verdict{}, err
	}
	if len(measures) == 0 {
		return Verdict{}, errors.WithHint(errors.New("there is no measure to judge"), "Give at least one series.")
	}
	var all []points
	var names []string
	for _, s := range measures {
		if err := s.check(); err != nil {
			return Verdict{}, err
		}
		all = append(all, s.points())
		names = append(names, s.title())
	}
	return decide(names, all, o), nil
}

func decide(names []string, all []points, o Options) Verdict {
	v := Verdict{Budget: o.Budget, Confidence: o.Confidence}
	each := 1 - (1-o.Confidence)/float64(len(all))
	hopeless := false
	for i, p := range all {
		m := judge(p, o.Budget, each)
		m.Name = names[i]
		v.Measures = append(v.Measures, m)
		v.Growth = max(v.Growth, m.Growth)
		v.More = max(v.More, m.More)
		hopeless = hopeless || m.Growth == Undecided && m.More == 0
	}
	if v.Growth != Undecided || hopeless {
		v.More = 0
	}
	return v
}

// judge is the whole method for one series.
func judge(p points, budget, confidence float64) Measure {
	clean, _ := p.cleaned(theilSen(p))
	dropped, cuts := warmUp(clean)
	origin := p.step(dropped)
	head, cleanHead := p.between(0, dropped), clean.between(0, dropped)
	p = p.from(dropped)
	slope := theilSen(p)
	clean, outliers := p.cleaned(slope)
	t := trendOf(slope, p, clean, confidence)
	m := Measure{
		Slope: t.slope, Low: t.low, High: t.high,
		WarmUpEnd: origin, LastStep: p.step(len(p.x) - 1),
		Samples: len(p.x), Dropped: dropped, Outliers: outliers,
		Autocorrelation: t.noise.seen, EffectiveSamples: t.noise.effective,
		Resolvable: t.half + 1.645*t.noise.slopeError + t.rounding,
		Change:     findChange(p, clean, confidence),
	}
	m.Growth, m.Reason = m.decide(budget)
	b := findBend(p, clean, confidence)
	curved := cuts > 2 || dropped >= fewestAfter && fitTrend(head, cleanHead, confidence).low > t.slope
	switch {
	case m.Growth == Flat && risesAtEnd(clean, budget):
		m.Growth, m.Reason = Undecided, Late
	case m.Growth != Flat && m.Change == nil && b.slowing():
		m.Growth, m.Reason = Undecided, Slowing
	case m.Growth == Leak && m.Change == nil && !confirmed(p, clean, curved, budget, confidence):
		m.Growth, m.Reason = Undecided, Fading
	}
	if m.Growth == Undecided {
		m.More = m.forecast(t, b, p, budget, confidence)
	}
	return m
}

// confirmed says whether the second half of the samples grows, too. After a warm-up that
// was itself a steeper slope, it must prove it alone: the rest of a curve is no leak.
func confirmed(p, clean points, curved bool, budget, confidence float64) bool {
	half := len(p.x) / 2
	if curved {
		return fitTrend(p.from(half), clean.from(half), confidence).low > budget
	}
	return theilSen(p.from(half)) > budget
}

// slowed is the part of its slope that growth must keep after a change, for it to be a
// leak and not a cache that fills.
const slowed = 0.8

func (m Measure) decide(budget float64) (Growth, Reason) {
	c := m.Change
	if c == nil {
		switch {
		case m.High < budget:
			return Flat, Decided
		case m.Low > budget:
			return Leak, Decided
		}
		return Undecided, Noisy
	}
	rest := float64(m.LastStep - c.Step)
	unknown := math.IsInf(c.High, 1)
	switch {
	case m.High < budget && c.High < budget:
		return Flat, Decided
	case m.High < budget && unknown && (math.Abs(c.Jump)+math.Abs(c.After)*rest)/rest < budget:
		return Flat, Decided // even if all of the change were growth that goes on
	case c.Low > budget && c.After >= slowed*c.Before:
		return Leak, Decided
	case m.Low > budget && c.After >= slowed*c.Before && !unknown:
		return Leak, Decided
	case m.Low > budget && unknown && c.Before > budget && c.After > budget && c.After >= slowed*c.Before && math.Abs(c.Jump) < c.Before*rest:
		return Leak, Decided // it has grown before, as fast as since then, and jumped by less than it grows anyway
	case unknown:
		return Undecided, Late
	case m.Low > budget && c.High < budget:
		return Undecided, Settling
	case c.After > 0 && c.After < slowed*c.Before && m.Slope > budget:
		return Undecided, Slowing
	case c.Low > budget || c.High < budget:
		return Undecided, Late
	}
	return Undecided, Noisy
}

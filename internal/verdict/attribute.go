package verdict

import (
	"math"

	"github.com/cockroachdb/errors"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Class is one class of handlers and how often it has run.
type Class struct {
	Name  string
	Calls []int64 // so far, at each sample of the series
}

// Attribution says which classes make a series grow.
type Attribution struct {
	Confidence float64 // of all intervals together
	Shares     []Share // in the order of the classes
	// Inseparable are classes whose calls are tied to each other, such as one that runs
	// whenever one of two others does. No estimate of them would mean anything.
	Inseparable [][]string
	Idle        []string // classes without a call after the warm-up
	WarmUpEnd   int64    // the first step that counts
	Samples     int      // that count
}

// Share is the growth of one class, or of several that always run in the same proportion
// and so cannot be told apart.
type Share struct {
	Classes           []string
	Bytes, Low, High  float64 // bytes a call, of any of them
	Calls             int64   // after the warm-up
	VarianceInflation float64 // how many times the variance is larger because other classes run at the same times; above 10, run them at different times
}

// Attribute finds the growth of each class in bytes a call, from which steps ran between
// which samples. Classes must run in varying proportions to be told apart. A class that
// frees what others allocate has a negative share.
//
// The error is that of [Decide], or says which class does not fit the samples.
func Attribute(s Series, classes []Class, o Options) (Attribution, error) {
	o, err := o.filled()
	if err != nil {
		return Attribution{}, err
	}
	if err := s.check(); err != nil {
		return Attribution{}, err
	}
	if err := checkClasses(s, classes); err != nil {
		return Attribution{}, err
	}
	s, classes = fewer(s, classes)
	p := s.exact()
	p = p.withoutOutliers()
	dropped, _ := warmUp(p)
	clean := p.from(dropped).withoutOutliers()
	a := Attribution{Confidence: o.Confidence, WarmUpEnd: p.step(dropped), Samples: len(clean.x)}
	var running []Class
	for _, c := range classes {
		c.Calls = c.Calls[dropped:]
		if c.during() == 0 {
			a.Idle = append(a.Idle, c.Name)
			continue
		}
		running = append(running, c)
	}
	if need := len(running) + fewestAfter; len(clean.x) < need {
		return Attribution{}, errors.WithHintf(errors.Newf("%d samples count, and %d classes need %d", len(clean.x), len(running), need),
			"Take more samples, or name fewer classes.")
	}
	if len(running) > 0 {
		a.solve(clean, running)
	}
	return a, nil
}

// fewer takes each second, third … sample of a long series.
func fewer(s Series, classes []Class) (Series, []Class) {
	every := (len(s.Samples) + maxSamples - 1) / maxSamples
	if every == 1 {
		return s, classes
	}
	short := Series{Name: s.Name, Quantum: s.Quantum}
	kept := make([]Class, len(classes))
	for j, c := range classes {
		kept[j].Name = c.Name
	}
	for i := 0; i < len(s.Samples); i += every {
		short.Samples = append(short.Samples, s.Samples[i])
		for j, c := range classes {
			kept[j].Calls = append(kept[j].Calls, c.Calls[i])
		}
	}
	return short, kept
}

func checkClasses(s Series, classes []Class) error {
	seen := map[string]bool{}
	for _, c := range classes {
		if seen[c.Name] {
			return errors.WithHint(errors.Newf("the class %q is given twice", c.Name), "Give each class once.")
		}
		seen[c.Name] = true
		if len(c.Calls) != len(s.Samples) {
			return errors.WithHint(errors.Newf("the class %q has %d counts for %d samples", c.Name, len(c.Calls), len(s.Samples)),
				"Give the calls so far at each sample.")
		}
		for i, n := range c.Calls {
			if n < 0 || n >= largest || i > 0 && n < c.Calls[i-1] {
				return errors.WithHintf(errors.Newf("the class %q has %d calls at sample %d", c.Name, n, i),
					"Calls are counted from the start of the run, so they never fall.")
			}
		}
	}
	return nil
}

func (c Class) during() int64 { return c.Calls[len(c.Calls)-1] - c.Calls[0] }

// solve fits levels to calls by generalised least squares. The noise is that of the
// verdict: at a correlation of 0 the levels are fitted, near 1 their differences.
//
// It is not robust against large differences, and must not be: 16 KB in one of a thousand
// calls is what it looks for. Isolated outliers were taken out before.
func (a *Attribution) solve(clean points, classes []Class) {
	n, k := len(clean.x), len(classes)
	gap := gaps(clean.x)
	var fit fitted
	rho := 0.0
	for range 3 {
		fit = fitCalls(clean, gap, classes, rho)
		rho = fitNoise(clean, fit.beside, (fit.rank+2)/2).rho
	}
	fit = fitCalls(clean, gap, classes, rho)
	groups := fit.tied()
	each := 1 - (1-a.Confidence)/float64(max(len(groups), 1))
	t := distuv.StudentsT{Sigma: 1, Nu: float64(max(n-1-fit.rank, 1))}.Quantile(1 - (1-each)/2)
	for _, group := range groups {
		share := Share{}
		for _, j := range group {
			share.Classes = append(share.Classes, classes[j].Name)
			share.Calls += classes[j].during()
		}
		if !proportional(classes, group) {
			a.Inseparable = append(a.Inseparable, share.Classes)
			continue
		}
		part := mat.NewVecDense(k, nil)
		for _, j := range group {
			part.SetVec(j, float64(classes[j].during())/float64(share.Calls))
		}
		share.Bytes = mat.Dot(part, fit.bytes)
		variance := mat.Inner(part, fit.covariance, part)
		half := t * math.Sqrt(max(variance, 0))
		share.Low, share.High = share.Bytes-half, share.Bytes+half
		share.VarianceInflation = variance / fit.alone(part)
		a.Shares = append(a.Shares, share)
	}
}

func (p points) withoutOutliers() points {
	clean, _ := p.cleaned(theilSen(p))
	return clean
}

// proportional says whether the calls of a group are multiples of each other.
func proportional(classes []Class, group []int) bool {
	first := classes[group[0]]
	whole := float64(first.during())
	for _, j := range group[1:] {
		ratio := float64(classes[j].during()) / whole
		for i, n := range classes[j].Calls {
			expected := ratio * float64(first.Calls[i]-first.Calls[0])
			if math.Abs(float64(n-classes[j].Calls[0])-expected) > 1e-6*float64(classes[j].during()) {
				return false
			}
		}
	}
	return true
}

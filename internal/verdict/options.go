package verdict

import (
	"math"

	"github.com/cockroachdb/errors"
)

// Options say what counts as growth, and how sure a verdict must be.
type Options struct {
	// Budget is the growth that is still flat, in bytes a step. Default 1.
	Budget float64
	// Confidence is the probability that the intervals of all measures together hold
	// the true slopes, from 0.5 to 0.9999. Default 0.99: at most one verdict of 200 is a
	// false alarm, and at most one of 200 hides a leak. The package's own documentation
	// says for which noise that holds, and where it is 2 or 3 in 100.
	Confidence float64
}

func (o Options) filled() (Options, error) {
	if o.Budget == 0 {
		o.Budget = 1
	}
	if o.Confidence == 0 {
		o.Confidence = 0.99
	}
	if !(o.Budget > 0) || math.IsInf(o.Budget, 0) {
		return o, errors.WithHint(errors.Newf("the budget is %v bytes a step", o.Budget),
			"A budget is a number above 0. No finite run can tell a slope of exactly 0.")
	}
	if !(o.Confidence >= 0.5 && o.Confidence <= 0.9999) {
		return o, errors.WithHint(errors.Newf("the confidence is %v", o.Confidence),
			"Choose a number from 0.5 to 0.9999. 0.99 is the default.")
	}
	return o, nil
}

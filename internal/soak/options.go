package soak

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// Options say how long to run, and what counts as growth.
type Options struct {
	// Iterations is how many tasks run. Duration is how long, if Iterations is 0.
	Iterations int64
	Duration   time.Duration
	// Samples is how many samples are taken, about. Default [DefaultSamples].
	Samples int
	// UntilDecided goes on until the verdict is flat or leak, or no reasonable number of
	// tasks would decide.
	UntilDecided bool
	Budget       float64 // bytes a step; default 1
	Confidence   float64 // default 0.99
	// Name is that of the other version of the handlers, or "".
	Name string
	// Contexts describe what tasks are given.
	Contexts Contexts
	Threads  int
	NoDB     bool
	Command  string
	// Progress is told how far the run is. Optional.
	Progress func(Progress)
	// Start starts a runner. other is the version to compare with.
	Start func(ctx context.Context, trace, other bool) (*Remote, error)
}

// DefaultSamples is a number of samples with which the stated rates of error hold.
const DefaultSamples = 120

// Progress is how far a run is.
type Progress struct {
	Phase   string // in words, such as "running", "confirming", "looking for the line"
	Tasks   int64  // so far, in this phase
	Of      int64  // 0 if it is not known
	Steps   int64  // so far
	Took    time.Duration
	Limit   time.Duration // with Duration
	Samples int
	Last    map[string]int64 // the latest sample
	Growth  []Trend          // of the deciding measures so far; nil before there are enough samples
}

func (o Options) filled() (Options, error) {
	if o.Samples == 0 {
		o.Samples = DefaultSamples
	}
	if o.Budget == 0 {
		o.Budget = 1
	}
	if o.Confidence == 0 {
		o.Confidence = 0.99
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Samples < verdict.MinSamples || o.Samples > maxSamples {
		return o, errors.WithHint(errors.Newf("%d samples are asked for", o.Samples),
			fmt.Sprintf("A verdict needs %d; at most %d are kept. %d are a good number.", verdict.MinSamples, maxSamples, DefaultSamples))
	}
	if o.Iterations == 0 && o.Duration == 0 {
		return o, errors.New("soak: neither Iterations nor Duration is given")
	}
	if o.Iterations != 0 && o.Iterations < verdict.MinSamples {
		return o, errors.WithHint(errors.Newf("%d iterations are too few for any verdict", o.Iterations),
			fmt.Sprintf("A verdict needs %d samples with at least one task between two of them: give --iterations %d or more; %d tell much more.",
				verdict.MinSamples, verdict.MinSamples, 10*DefaultSamples))
	}
	return o, nil
}

// maxSamples bounds the samples that are kept. When there are more, every second one goes,
// and twice as many tasks run between two.
const maxSamples = 400

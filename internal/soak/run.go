package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// session is one run, from its start to its result.
type session struct {
	o     Options
	began time.Time
	rand  *rand.Rand

	plan    *Plan
	version *series // of the handlers that the verdict is about
	other   *series // of those to compare with, or nil

	per         int64 // tasks between two samples
	looks       int   // how often a verdict was asked for
	interrupted bool
	places      verdict.Verdict // the deciding measures, in the order of kinds
	result      *Result

	shown   []Trend // of the deciding measures, for the display
	shownAt int     // samples
}

// series is what one version of the handlers has used.
type series struct {
	runner  *Remote
	samples []Sample
	ended   int64 // tasks, those after the last sample that was kept too
	ran     time.Duration
	taking  time.Duration // of samples
}

// Execute runs tasks until there is a verdict, or as long as the options say. The end of ctx
// stops the run, and the result says what is known until then.
//
// The error is a [*Failure] if a task has failed or the input was wrong, and a [*Gone] if the
// process that ran them has ended. After a verdict there is none: a search that fails is a
// note.
func Execute(ctx context.Context, o Options) (*Result, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	s := &session{o: o, began: time.Now(), rand: rand.New(rand.NewPCG(1, 2)), plan: &Plan{}, version: &series{}, result: &Result{}}
	defer s.close()
	err = s.start(ctx)
	if err == nil {
		err = s.measure(ctx)
	}
	if err != nil && !s.stopped(ctx, err) {
		return nil, err
	}
	if err := s.conclude(); err != nil {
		return nil, err
	}
	if !s.interrupted && (s.grows() || s.steps()) {
		if err := s.explain(ctx); err != nil {
			s.result.Notes = append(s.result.Notes, unexplained(ctx, err))
		}
	}
	return s.result, nil
}

func (s *session) start(ctx context.Context) error {
	runner, err := s.o.Start(ctx, false, false)
	if err != nil {
		return err
	}
	s.plan, s.version = runner.Plan, &series{runner: runner}
	if s.o.Name == "" {
		return nil
	}
	if runner, err = s.o.Start(ctx, false, true); err != nil {
		return s.named(nil, err)
	}
	s.other = &series{runner: runner}
	return nil
}

// named says of which version an error is, if it is the other one.
func (s *session) named(v *series, err error) error {
	if v == s.version {
		return err
	}
	return errors.Wrapf(err, "the handlers of %s", s.o.Name)
}

func (s *session) close() {
	for _, v := range []*series{s.version, s.other} {
		if v != nil && v.runner != nil {
			_ = v.runner.Close() // it has nothing to lose
		}
	}
}

// stopped says that err is the end of ctx, which asks for a result and not for an error.
func (s *session) stopped(ctx context.Context, err error) bool {
	if ctx.Err() == nil {
		return false
	}
	var f *Failure
	if errors.As(err, &f) {
		return false
	}
	s.interrupted = true
	return true
}

// measure runs tasks and takes samples, until the options say that it is enough.
func (s *session) measure(ctx context.Context) error {
	if err := s.firstBatch(ctx); err != nil {
		return err
	}
	goal := s.o.Iterations
	phase, confirmed := "running", false
	for {
		if err := s.until(ctx, phase, goal); err != nil {
			return err
		}
		v, err := s.look()
		if err != nil {
			return err
		}
		done := s.version.ended
		switch {
		case v.Growth == verdict.Leak && !confirmed:
			// A leak goes on. What only looked like one, such as a cache that filled late, ends.
			confirmed = true
			phase, goal = "confirming", done+done/2
		case s.o.UntilDecided && v.Growth == verdict.Undecided && v.More > 0:
			phase, goal = "undecided, going on", done+min(max(s.tasksFor(v.More), done/4), 2*done)
		default:
			return nil
		}
	}
}

// firstBatch finds out how many tasks run between two samples.
func (s *session) firstBatch(ctx context.Context) error {
	samples := int64(s.o.Samples)
	if s.o.Iterations > 0 {
		s.per = max(s.o.Iterations/samples, 1)
		return nil
	}
	s.per = int64(len(s.plan.Templates))
	enough := s.o.Duration / time.Duration(4*samples)
	for {
		before := s.version.ran
		if err := s.batch(ctx, "starting", 0); err != nil {
			return err
		}
		if s.version.ran-before >= enough || time.Since(s.began) >= s.o.Duration/8 {
			break
		}
		s.per *= 2
	}
	if len(s.version.samples) == 0 { // no handler was called yet
		return nil
	}
	// The last batch was about the fourth part of what fits between two samples.
	last := s.version.samples[len(s.version.samples)-1]
	versions := 1
	if s.other != nil {
		versions = 2
	}
	interval := s.o.Duration/time.Duration(samples)/time.Duration(versions) - last.Sampling
	if last.Ran > 0 && interval > 0 {
		s.per = max(int64(float64(s.per)*float64(interval)/float64(last.Ran)), 1)
	}
	return nil
}

// until runs batches up to so many tasks, or with a goal of 0 until the time is over.
func (s *session) until(ctx context.Context, phase string, goal int64) error {
	for {
		done := s.version.ended
		if goal > 0 && done >= goal || goal == 0 && time.Since(s.began) >= s.o.Duration {
			return nil
		}
		if err := s.batch(ctx, phase, goal); err != nil {
			return err
		}
		if len(s.version.samples) > maxSamples {
			s.thin()
		}
	}
}

// batch runs as many tasks as belong between two samples, in each version.
func (s *session) batch(ctx context.Context, phase string, goal int64) error {
	portions := s.portions()
	versions := []*series{s.version}
	if s.other != nil {
		versions = append(versions, s.other)
		if len(s.version.samples)%2 == 1 { // in turns, so that neither always comes first
			versions[0], versions[1] = versions[1], versions[0]
		}
	}
	for _, v := range versions {
		before := v.ended
		a, err := v.runner.Do(ctx, Order{Op: OpBatch, Portions: portions}, func(done int64) { s.tell(phase, before+done, goal) })
		if err != nil {
			return s.named(v, err)
		}
		v.ended = a.Sample.Tasks
		if a.Sample.Steps > v.steps() { // growth is counted by steps
			v.samples = append(v.samples, *a.Sample)
		}
		v.ran, v.taking = v.ran+a.Sample.Ran, v.taking+a.Sample.Sampling
	}
	s.tell(phase, s.version.ended, goal)
	return nil
}

// portions shares a batch among the templates, in proportions that change: only so can the
// growth of their classes be told apart.
func (s *session) portions() []Portion {
	if len(s.plan.Templates) == 1 {
		return []Portion{{Tasks: s.per}}
	}
	weights, sum := make([]float64, len(s.plan.Templates)), 0.0
	for i := range weights {
		weights[i] = 0.2 + s.rand.Float64()
		sum += weights[i]
	}
	var list []Portion
	for i, w := range weights {
		n := int64(float64(s.per)*w/sum + s.rand.Float64())
		if n > 0 {
			list = append(list, Portion{Template: i, Tasks: n})
		}
	}
	if len(list) == 0 {
		list = append(list, Portion{Template: s.rand.IntN(len(weights)), Tasks: 1})
	}
	return list
}

// thin drops every second sample, and runs twice as many tasks between two from now on.
func (s *session) thin() {
	for _, v := range []*series{s.version, s.other} {
		if v == nil {
			continue
		}
		kept := v.samples[:0]
		for i, sample := range v.samples {
			if i%2 == 1 {
				kept = append(kept, sample)
			}
		}
		v.samples = kept
	}
	s.per *= 2
}

// steps are those until the last sample.
func (s *series) steps() int64 {
	if len(s.samples) == 0 {
		return 0
	}
	return s.samples[len(s.samples)-1].Steps
}

// tasksFor is how many tasks run so many steps.
func (s *session) tasksFor(steps int64) int64 {
	ran := s.version.steps()
	if ran == 0 {
		return steps
	}
	return int64(float64(steps) * float64(s.version.ended) / float64(ran))
}

// look asks for a verdict. Who asks until the answer is pleasant would be wrong too often,
// so each further look takes a share of the allowed error: 1/2, 1/6, 1/12 … of it.
func (s *session) look() (verdict.Verdict, error) {
	s.looks++
	if n := len(s.version.samples); n < verdict.MinSamples {
		return verdict.Verdict{Growth: verdict.Undecided}, s.tooFew(n)
	}
	confidence := s.o.Confidence
	if s.o.UntilDecided {
		k := float64(s.looks)
		confidence = 1 - (1-confidence)/(k*(k+1))
	}
	v, err := s.decide(confidence)
	s.places = v
	return v, err
}

func (s *session) tooFew(n int) error {
	if s.interrupted {
		return nil
	}
	took := time.Since(s.began)
	need := (took / time.Duration(max(n, 1)) * (verdict.MinSamples + 5)).Round(time.Second)
	return &Failure{
		Message: fmt.Sprintf("only %s in %s: too few for any verdict, which needs %d", verdict.Count(n), took.Round(time.Second), verdict.MinSamples),
		Hint:    fmt.Sprintf("Give --duration %s or more, or --iterations.", need),
	}
}

// decide judges the deciding measures, or their differences from the other version.
func (s *session) decide(confidence float64) (verdict.Verdict, error) {
	var measures []verdict.Series
	for _, k := range kinds {
		if k.Decides {
			measures = append(measures, s.version.of(k))
		}
	}
	o := verdict.Options{Budget: s.o.Budget, Confidence: confidence}
	if s.other == nil {
		return verdict.Decide(measures, o)
	}
	all := verdict.Verdict{Budget: o.Budget, Confidence: confidence}
	o.Confidence = 1 - (1-confidence)/float64(len(measures))
	hopeless := false
	for i, k := range Deciding() {
		v, err := verdict.Compare(s.other.of(k), measures[i], o)
		if err != nil {
			return all, err
		}
		v.Measures[0].Name = k.Name
		all.Measures = append(all.Measures, v.Measures[0])
		all.Growth = max(all.Growth, v.Growth)
		all.More = max(all.More, v.More)
		hopeless = hopeless || v.Growth == verdict.Undecided && v.More == 0
	}
	if all.Growth != verdict.Undecided || hopeless {
		all.More = 0
	}
	return all, nil
}

// Deciding are the kinds of measures that the verdict is about.
func Deciding() []Kind {
	var list []Kind
	for _, k := range kinds {
		if k.Decides {
			list = append(list, k)
		}
	}
	return list
}

// of is one measure as a series.
func (s *series) of(k Kind) verdict.Series {
	v := verdict.Series{Name: k.Name, Quantum: k.quantum}
	for _, sample := range s.samples {
		v.Samples = append(v.Samples, verdict.Sample{Step: sample.Steps, Bytes: sample.Values[k.Key]})
	}
	return v
}

// tell says how far the run is.
func (s *session) tell(phase string, tasks, goal int64) {
	p := Progress{
		Phase: phase, Tasks: tasks, Of: goal, Steps: s.version.steps(), Took: time.Since(s.began), Samples: len(s.version.samples),
	}
	if goal == 0 {
		p.Limit = s.o.Duration
	}
	if n := len(s.version.samples); n > 0 {
		p.Last = s.version.samples[n-1].Values
		if n >= verdict.MinSamples && n%10 == 0 && n != s.shownAt {
			s.shownAt, s.shown = n, nil
			if v, err := s.decide(s.o.Confidence); err == nil {
				for i, k := range Deciding() {
					s.shown = append(s.shown, *trendOf(v.Measures[i], k))
				}
			}
		}
		p.Growth = s.shown
	}
	s.o.Progress(p)
}

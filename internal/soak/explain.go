package soak

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// grows says whether it is worth looking for what grows: there is a leak, or something
// certainly grows although the verdict is open.
func (s *session) grows() bool {
	return slices.ContainsFunc(s.places.Measures, func(m verdict.Measure) bool {
		return m.Growth == verdict.Leak || m.Growth == verdict.Undecided && m.Reason != verdict.Noisy && m.Low > 0
	})
}

// explain finds out which class and which line it is.
func (s *session) explain(ctx context.Context) error {
	defer func() {
		s.result.Run.Took = time.Since(s.began)
	}()
	if err := s.attribute(ctx); err != nil {
		return err
	}
	return s.suspects(ctx)
}

// unexplained says that the search has ended too early. The verdict stands without it.
func unexplained(ctx context.Context, err error) Note {
	if ctx.Err() != nil {
		return Note{Text: "the run was stopped before the class and the line were found"}
	}
	n := Note{Text: "looking for the class and the line has failed: " + err.Error(), Hint: errors.FlattenHints(err)}
	var f *Failure
	if errors.As(err, &f) {
		n.Text, n.Hint = strings.Join(append([]string{n.Text}, f.Detail[:min(len(f.Detail), 1)]...), ": "), f.Hint
	}
	return n
}

// attributed is how many samples are taken to tell classes apart.
const attributed = 60

// attribute finds the growth of each class. Its tasks stop after a step that changes from
// batch to batch, so that the classes run in different proportions.
func (s *session) attribute(ctx context.Context) error {
	classes := s.classes()
	if len(classes) == 1 {
		s.shareOfOne(classes)
		return nil
	}
	cuts := &series{runner: s.version.runner}
	for i := range attributed {
		s.o.Progress(Progress{Phase: "telling the classes apart", Tasks: int64(i) * s.per, Of: attributed * s.per, Took: time.Since(s.began)})
		a, err := cuts.runner.Do(ctx, Order{Op: OpBatch, Portions: s.cut()}, nil)
		if err != nil {
			return err
		}
		cuts.samples = append(cuts.samples, *a.Sample)
	}
	for i, k := range Deciding() {
		if s.places.Measures[i].Growth != verdict.Flat && s.places.Measures[i].Low > 0 {
			s.share(cuts, k, classes)
		}
	}
	slices.SortStableFunc(s.result.Classes, func(x, y Share) int { // what certainly grows comes first
		switch {
		case x.Grows == y.Grows:
			return cmp.Compare(y.Bytes, x.Bytes)
		case x.Grows:
			return -1
		}
		return 1
	})
	return nil
}

// shareOfOne gives all growth to the only class. With another version that is its own growth,
// as that of several classes is, and not the difference.
func (s *session) shareOfOne(classes []string) {
	for i, k := range Deciding() {
		m := s.measured(k.Key)
		if s.places.Measures[i].Growth != verdict.Flat && m != nil && m.Trend != nil {
			t := m.Trend
			s.result.Classes = append(s.result.Classes, Share{
				Measure: k.Key, Classes: classes, Bytes: t.Slope, Low: t.Low, High: t.High, Calls: t.LastStep - t.WarmUpEnd, Grows: t.Low > 0,
			})
		}
	}
}

// cut shares a batch among the templates, each cut off after a step by chance.
func (s *session) cut() []Portion {
	var list []Portion
	for i, t := range s.plan.Templates {
		if n := s.per / int64(len(s.plan.Templates)); n > 0 {
			list = append(list, Portion{Template: i, Steps: 1 + s.rand.IntN(len(t.Classes)), Tasks: n})
		}
	}
	if len(list) == 0 {
		i := s.rand.IntN(len(s.plan.Templates))
		list = []Portion{{Template: i, Steps: 1 + s.rand.IntN(len(s.plan.Templates[i].Classes)), Tasks: max(s.per, 1)}}
	}
	return list
}

func (s *session) classes() []string {
	var list []string
	for _, t := range s.plan.Templates {
		list = append(list, t.Classes...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// share adds what each class has added to one measure.
func (s *session) share(cuts *series, k Kind, classes []string) {
	var list []verdict.Class
	for _, name := range classes {
		c := verdict.Class{Name: name}
		for _, sample := range cuts.samples {
			c.Calls = append(c.Calls, sample.Calls[name])
		}
		list = append(list, c)
	}
	a, err := verdict.Attribute(cuts.of(k), list, verdict.Options{Budget: s.o.Budget, Confidence: s.shared()})
	if err != nil {
		s.result.Notes = append(s.result.Notes, Note{Text: fmt.Sprintf("the classes could not be told apart: %v", err)})
		return
	}
	for _, share := range a.Shares {
		s.result.Classes = append(s.result.Classes, Share{
			Measure: k.Key, Classes: share.Classes, Bytes: share.Bytes, Low: share.Low, High: share.High, Calls: share.Calls, Grows: share.Low > 0,
		})
	}
}

// listed is how many suspects are named.
const listed = 5

// suspects finds the objects of Ruby that tasks leave behind, in a process of its own that
// notes where each object is allocated.
func (s *session) suspects(ctx context.Context) error {
	place := func(kind string) bool {
		return slices.ContainsFunc(s.result.Where, func(p Place) bool { return p.Kind == kind })
	}
	if place("native") {
		if err := s.extensions(ctx); err != nil {
			return err
		}
	}
	if !place("ruby_heap") && !place("native") {
		return nil
	}
	_ = s.version.runner.Close() // the other one takes its database
	runner, err := s.o.Start(ctx, true, false)
	if err != nil {
		return err
	}
	defer func() { _ = runner.Close() }() // it has nothing to lose
	found, stores, err := s.search(ctx, runner)
	for i := range found {
		found[i].Allocated.shorten()
		for _, h := range found[i].Path {
			h.At.shorten()
		}
	}
	for index, line := range stores {
		if i, err := strconv.Atoi(index); err == nil && i < len(found) {
			line.shorten()
			found[i].Stored = &line
		}
	}
	s.result.Suspects = found
	return err
}

// search runs a warm-up, two equal parts whose objects are compared, and a short part in
// which it is watched who stores what.
func (s *session) search(ctx context.Context, runner *Remote) (found []Suspect, stores map[string]Line, err error) {
	n := s.traced()
	warmUp, last := s.evenly(n/2+1), s.evenly(n/10+1)
	part := s.evenly(n)
	total, done := tasksOf(warmUp)+2*tasksOf(part)+tasksOf(last), int64(0)
	for _, o := range []Order{
		{Op: OpBatch, Portions: warmUp}, {Op: OpMark}, {Op: OpBatch, Portions: part}, {Op: OpMark}, {Op: OpBatch, Portions: part},
		{Op: OpSuspects, Limit: listed, Tasks: tasksOf(part)}, {Op: OpBatch, Portions: last}, {Op: OpStores},
	} {
		o.NoSample = true
		a, err := runner.Do(ctx, o, func(ended int64) {
			s.o.Progress(Progress{Phase: "looking for the line", Tasks: done + ended, Of: total, Took: time.Since(s.began)})
		})
		if err != nil {
			return found, nil, err
		}
		done += tasksOf(o.Portions)
		switch o.Op {
		case OpSuspects:
			if found = a.Suspects; len(found) == 0 {
				return nil, nil, nil
			}
		case OpStores:
			stores = a.Stores
		}
	}
	return found, stores, nil
}

func tasksOf(portions []Portion) (sum int64) {
	for _, p := range portions {
		sum += p.Tasks
	}
	return sum
}

// traced is how many tasks run between two marks: enough that what happens in one of a
// thousand steps happens in each part, and no more than take some seconds.
func (s *session) traced() int64 {
	tasks := s.version.ended
	n := min(max(tasks/8, 20), 5000)
	if s.version.ran > 0 {
		inTime := int64(float64(tasks) * float64(5*time.Second) / float64(s.version.ran) / 3) // tracing is about three times slower
		n = max(min(n, inTime), 10)
	}
	return n
}

// evenly shares tasks among the templates.
func (s *session) evenly(tasks int64) []Portion {
	var list []Portion
	for i := range s.plan.Templates {
		list = append(list, Portion{Template: i, Tasks: max(tasks/int64(len(s.plan.Templates)), 1)})
	}
	return list
}

// extensions names the C extensions that may be at fault.
func (s *session) extensions(ctx context.Context) error {
	a, err := s.version.runner.Do(ctx, Order{Op: OpExtensions}, nil)
	if err != nil {
		return err
	}
	note := Note{Text: "no C extension is loaded that does not come with Ruby"}
	if len(a.Extensions) > 0 {
		var names []string
		for _, f := range a.Extensions {
			names = append(names, filepath.Base(f))
		}
		note.Text = "C extensions that are loaded and do not come with Ruby: " + strings.Join(names, ", ")
	}
	s.result.Notes = append(s.result.Notes, note)
	return nil
}

package soak

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// conclude puts into the result what the samples say.
func (s *session) conclude() error {
	r := s.result
	if s.interrupted && len(s.version.samples) >= verdict.MinSamples {
		if _, err := s.look(); err != nil {
			return err
		}
	}
	r.Verdict = s.verdict()
	r.Measures = s.measures(s.version)
	if s.other != nil {
		r.Against = &Against{Name: s.o.Name, Measures: s.measures(s.other)}
		s.differences()
	}
	r.Environment = s.plan.Environment
	r.Run = Run{
		Command: s.o.Command, Contexts: s.o.Contexts.Words(), Tasks: s.version.ended, Steps: s.version.steps(), Threads: s.o.Threads,
		NoDatabase: s.o.NoDB, Interrupted: s.interrupted, Began: s.began, Took: time.Since(s.began),
		Ran: s.version.ran, Sampling: s.version.taking, Samples: len(s.version.samples),
	}
	for _, t := range s.plan.Templates {
		r.Run.Templates = append(r.Run.Templates, t.ID)
	}
	s.findPlaces()
	s.note()
	return nil
}

// verdict is the answer in words.
func (s *session) verdict() Verdict {
	v := Verdict{Growth: s.places.Growth.String(), Budget: s.o.Budget, Confidence: s.o.Confidence}
	if len(s.places.Measures) == 0 {
		v.Growth = verdict.Undecided.String()
		v.Text = fmt.Sprintf("the run was stopped after %s, and a verdict needs %d", verdict.Count(len(s.version.samples)), verdict.MinSamples)
		return v
	}
	for _, m := range s.places.Measures {
		v.Resolvable = max(v.Resolvable, m.Resolvable)
	}
	v.MoreTasks = s.tasksFor(s.places.More)
	worst := s.worst()
	than := ""
	if s.other != nil {
		than = " more than in " + s.o.Name
	}
	switch s.places.Growth {
	case verdict.Flat:
		v.Text = fmt.Sprintf("no measure grows by more than %s a step%s; the most is %s", bytes(s.o.Budget), than, growth(worst))
	case verdict.Leak:
		v.Text = fmt.Sprintf("%s grows by %s%s, above the budget of %s", worst.Name, growth(worst), than, bytes(s.o.Budget))
	default:
		v.Text = fmt.Sprintf("%s may grow by %s%s, and the budget is %s: %s", worst.Name, growth(worst), than, bytes(s.o.Budget), worst.Reason)
		if v.MoreTasks > 0 {
			v.Text += fmt.Sprintf("; about %s more tasks would decide", thousands(v.MoreTasks))
		} else if worst.Reason == verdict.Noisy {
			v.Text += fmt.Sprintf("; with a budget of %s there would be a verdict", bytes(v.Resolvable))
		}
	}
	if s.interrupted {
		v.Text = "the run was stopped; until then it was " + v.Growth + ": " + v.Text
		v.Growth = verdict.Undecided.String()
	}
	return v
}

// worst is the measure that decides: of those with the verdict's growth, the one with the
// highest bound.
func (s *session) worst() verdict.Measure {
	list := slices.DeleteFunc(slices.Clone(s.places.Measures), func(m verdict.Measure) bool { return m.Growth != s.places.Growth })
	return slices.MaxFunc(list, func(a, b verdict.Measure) int {
		if s.places.Growth == verdict.Leak {
			return cmp.Compare(a.Slope, b.Slope)
		}
		return cmp.Compare(a.High, b.High)
	})
}

// measures are all that a version has used. Kinds and types of slots come after the others.
func (s *session) measures(v *series) []Measure {
	if len(v.samples) == 0 {
		return nil
	}
	var list []Measure
	for _, k := range append(slices.Clone(kinds), v.slotKinds()...) {
		_, there := v.samples[0].Values[k.Key]
		if !there && !slots(k) { // Ruby names no type of which there is no object
			continue
		}
		m := Measure{Key: k.Key, Name: k.Name, Unit: k.Unit, Decides: k.Decides}
		for _, sample := range v.samples {
			m.Steps, m.Values = append(m.Steps, sample.Steps), append(m.Values, sample.Values[k.Key])
		}
		m.Trend = s.trend(v, k)
		list = append(list, m)
	}
	return list
}

func slots(k Kind) bool {
	return strings.HasPrefix(k.Key, SlotsOfType) || strings.HasPrefix(k.Key, SlotsOfPool)
}

// slotKinds are the slots by type and by size.
func (s *series) slotKinds() []Kind {
	var list []Kind
	for key := range s.samples[len(s.samples)-1].Values {
		if kind, ok := strings.CutPrefix(key, SlotsOfType); ok {
			list = append(list, Kind{Key: key, Name: "slots of " + kind, Unit: "slots", quantum: 1, smallest: 0.01})
		} else if size, ok := strings.CutPrefix(key, SlotsOfPool); ok {
			list = append(list, Kind{Key: key, Name: "slots of " + size + " bytes", Unit: "slots", quantum: 1, smallest: 0.01})
		}
	}
	slices.SortFunc(list, func(a, b Kind) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// shared is the confidence of one deciding measure, if all of them together are to have
// that of the run.
func (s *session) shared() float64 { return 1 - (1-s.o.Confidence)/float64(len(Deciding())) }

// trend is the growth of one measure by itself, or for a deciding one with its share of the
// allowed error. Bytes have the budget of the run, whatever they are of.
func (s *session) trend(v *series, k Kind) *Trend {
	confidence, budget := s.o.Confidence, k.smallest
	if k.Decides {
		confidence = s.shared()
	}
	if k.Unit == "bytes" {
		budget = s.o.Budget
	}
	d, err := verdict.Decide([]verdict.Series{v.of(k)}, verdict.Options{Budget: budget, Confidence: confidence})
	if err != nil {
		return nil
	}
	return trendOf(d.Measures[0], k)
}

func trendOf(m verdict.Measure, k Kind) *Trend {
	return &Trend{
		Growth: m.Growth.String(), Slope: m.Slope, Low: m.Low, High: m.High, WarmUpEnd: m.WarmUpEnd, LastStep: m.LastStep,
		Resolvable: m.Resolvable, Text: growthIn(m, k.Unit),
	}
}

// differences are what the verdict is about when two versions are compared.
func (s *session) differences() {
	for i, k := range Deciding() {
		if m := s.measured(k.Key); m != nil && i < len(s.places.Measures) {
			m.Difference = trendOf(s.places.Measures[i], k)
		}
	}
}

// note says what explains the numbers, and what they cannot show.
func (s *session) note() {
	r := s.result
	for _, m := range r.Measures {
		grows := m.Trend != nil && m.Trend.Growth == verdict.Leak.String()
		if !grows {
			continue
		}
		switch m.Key {
		case Threads, Goroutines, Descriptors, Connections, PreparedStatements:
			r.Notes = append(r.Notes, Note{Text: fmt.Sprintf("%s grow, by %s", m.Name, m.Trend.Text), Hint: hintFor[m.Key]})
		}
	}
	if r.Run.Contexts == (Contexts{}).Words() && r.Verdict.Growth == verdict.Flat.String() {
		r.Notes = append(r.Notes, Note{
			Text: "all tasks had the same context, so a cache that is keyed by what a task is given holds one entry",
			Hint: "Vary the contexts with --contexts FILE.",
		})
	}
	if s.o.NoDB {
		r.Notes = append(r.Notes, Note{Text: "the steps ran through the bridge alone; the engine and SQL were not measured"})
	}
}

var hintFor = map[string]string{
	Threads:            "A thread that a handler starts ends with its step, but those of gems and `keep_threads: true` stay. Start one for all steps.",
	Goroutines:         "This is a defect of tasker-rb; please report it with the page.",
	Descriptors:        "A file, a socket or a pipe is not closed. Use the form with a block, such as File.open(path) { |f| … }.",
	Connections:        "Connections that a handler opens itself are not closed.",
	PreparedStatements: "Statements with values in their text are prepared again for each value. Use parameters.",
}

package watch

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// Report is what a watch says about its process.
type Report struct {
	At    time.Time `json:"at"`    // of the latest reading
	Since time.Time `json:"since"` // of the first one
	RSS   int64     `json:"rss"`   // bytes, -1 if unknown
	Limit int64     `json:"limit"` // of RSS; 0 if there is none, or the watch does not know it
	Steps int64     `json:"steps"`

	Samples int     `json:"samples"`
	Needed  int     `json:"needed"`   // for a verdict
	Window  float64 `json:"window"`   // seconds of one sample
	ReadyIn float64 `json:"ready_in"` // seconds until there are enough, at the present rate; 0 if there are, or if nobody knows
	Rate    float64 `json:"rate"`     // steps a second, of late

	Measures []Growth `json:"measures"`
	Classes  []Class  `json:"classes"` // what grows first; empty before there is a verdict
	// Tied are classes that always run together in some proportion that varies, so that
	// nothing can be said about each of them.
	Tied []string `json:"tied,omitempty"`
	// Cut is how many classes were left out for want of room.
	Cut int `json:"cut,omitempty"`
}

// Growth is the growth of one measure. Without enough samples it has only Key, Name and Now.
type Growth struct {
	Key    string  `json:"key"`
	Name   string  `json:"name"`
	Now    int64   `json:"now"`              // bytes, -1 if it cannot be read
	Growth string  `json:"growth,omitempty"` // flat, leak or undecided
	Slope  float64 `json:"slope"`            // bytes a step
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	More   int64   `json:"more,omitempty"` // steps that would probably decide
	Text   string  `json:"text,omitempty"`
}

// Class is the growth of one handler class, or of several that cannot be told apart, in the
// measure in which it grows most surely.
type Class struct {
	Names []string `json:"names"`
	Key   string   `json:"key"` // of the measure
	Of    string   `json:"of"`  // its name
	Calls int64    `json:"calls"`
	Bytes float64  `json:"bytes"` // a call
	Low   float64  `json:"low"`
	High  float64  `json:"high"`
	Grows bool     `json:"grows"` // the interval lies above 0, and the measure is not flat
}

// confidence is that of all measures together, and of all classes.
const confidence = 0.99

// Report judges the samples. It takes time only if there is a new one since the last call:
// some milliseconds for 240 samples.
func (w *Watch) Report() Report {
	w.judging.Lock()
	defer w.judging.Unlock()
	r, samples, names, count := w.state()
	if count != w.taken && len(samples) >= verdict.MinSamples {
		w.judged = judge(samples, names, w.options)
		w.taken = count
	}
	for i := range r.Measures {
		for _, g := range w.judged.Measures {
			if g.Key == r.Measures[i].Key {
				g.Now = r.Measures[i].Now
				r.Measures[i] = g
			}
		}
	}
	r.Classes, r.Tied = append(r.Classes, w.judged.Classes...), w.judged.Tied
	return r
}

// Growing returns the class that surely grows most, of the latest report.
func (w *Watch) Growing() (Class, bool) {
	w.judging.Lock()
	defer w.judging.Unlock()
	if len(w.judged.Classes) == 0 || !w.judged.Classes[0].Grows {
		return Class{}, false
	}
	return w.judged.Classes[0], true
}

// state is what needs no judgement, and a copy of the rest.
func (w *Watch) state() (r Report, samples []sample, names []string, count int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r = Report{At: w.last.At, Since: w.began, RSS: w.last.RSS, Steps: w.steps,
		Samples: len(w.samples), Needed: verdict.MinSamples, Window: w.window.Seconds(), Classes: []Class{}}
	if w.last.At.IsZero() {
		r.RSS = Unknown
	}
	for _, m := range measures {
		now := int64(Unknown)
		if !w.last.At.IsZero() {
			now = m.of(w.last)
		}
		r.Measures = append(r.Measures, Growth{Key: m.key, Name: m.name, Now: now})
	}
	if n := len(w.samples); n > 0 {
		// The last ten only: a worker that was idle for a night is as fast as before.
		first, steps := w.began, int64(0)
		taken := n
		if n > 10 {
			taken = 10
			first, steps = w.samples[n-11].at, w.samples[n-11].steps
		}
		if took := w.last.At.Sub(first).Seconds(); took > 0 {
			r.Rate = rounded(float64(w.steps-steps) / took)
			if missing := r.Needed - n; missing > 0 {
				r.ReadyIn = rounded(float64(missing) * took / float64(taken))
			}
		}
	}
	return r, slices.Clone(w.samples), slices.Clone(w.names), w.count
}

// judge decides about each measure that was read often enough, and finds the classes.
func judge(samples []sample, names []string, o Options) (r Report) {
	var series [len(measures)]verdict.Series
	var points [len(measures)][]point
	fewest := len(samples)
	for i, m := range measures {
		series[i], points[i] = seriesOf(samples, i)
		if n := len(points[i]); m.decides && n >= verdict.MinSamples {
			fewest = min(fewest, n)
		}
	}
	// So few that the points can tell them apart even if half of them are warm-up.
	classes := mostCalled(samples[len(samples)-1], min(o.Classes, fewest/2-11))
	for i, m := range measures {
		v, err := verdict.Decide(series[i:i+1], verdict.Options{Budget: o.Budget, Confidence: shared(len(measures))})
		if err != nil { // too few samples of this measure
			continue
		}
		g := v.Measures[0]
		r.Measures = append(r.Measures, Growth{Key: m.key, Name: m.name, Growth: g.Growth.String(),
			Slope: rounded(g.Slope), Low: rounded(g.Low), High: rounded(g.High), More: g.More, Text: v.String()})
		if m.decides {
			r.attribute(m, g.Growth, series[i], callsOf(points[i], names, classes))
		}
	}
	slices.SortStableFunc(r.Classes, func(a, b Class) int {
		return cmp.Or(cmp.Compare(b.Low*float64(b.Calls), a.Low*float64(a.Calls)), cmp.Compare(b.High, a.High))
	})
	slices.Sort(r.Tied)
	return r
}

// shared is the confidence of one of several intervals that hold together.
func shared(n int) float64 { return 1 - (1-confidence)/float64(n) }

// seriesOf returns one measure, with the points that make it up.
func seriesOf(samples []sample, measure int) (verdict.Series, []point) {
	s := verdict.Series{Name: measures[measure].name, Quantum: measures[measure].quantum}
	var of []point
	before := int64(-1)
	for _, v := range samples {
		p := v.lowest[measure]
		if p.value == Unknown || p.steps <= before { // at the end of one window and the start of the next
			continue
		}
		before = p.steps
		s.Samples = append(s.Samples, verdict.Sample{Step: p.steps, Bytes: p.value})
		of = append(of, p)
	}
	return s, of
}

// mostCalled returns the numbers of the classes with the most calls.
func mostCalled(last sample, most int) []int {
	var latest point
	for _, p := range last.lowest {
		if len(p.calls) > len(latest.calls) {
			latest = p
		}
	}
	order := make([]int, len(latest.calls))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(latest.calls[b], latest.calls[a]) })
	return order[:max(min(most, len(order)), 0)]
}

// callsOf returns these classes, and all others as one.
func callsOf(points []point, names []string, classes []int) []verdict.Class {
	list := make([]verdict.Class, 0, len(classes)+1)
	others := verdict.Class{Name: Others, Calls: make([]int64, len(points))}
	for i, p := range points {
		others.Calls[i] = p.steps
	}
	joined := len(names) > len(classes)
	for _, number := range classes {
		if names[number] == Others {
			joined = true
			continue
		}
		c := verdict.Class{Name: names[number], Calls: make([]int64, len(points))}
		for i, p := range points {
			c.Calls[i] = p.count(number)
			others.Calls[i] -= c.Calls[i]
		}
		list = append(list, c)
	}
	if joined {
		list = append(list, others)
	}
	return list
}

// count is how often the class had been called.
func (p point) count(class int) int64 {
	if class < len(p.calls) {
		return p.calls[class]
	}
	return 0
}

// attribute adds what each class leaves in a measure. Of several measures, a class keeps the
// one in which it grows most surely, or in which it may grow most.
func (r *Report) attribute(m measure, growth verdict.Growth, series verdict.Series, classes []verdict.Class) {
	decide := 0
	for _, m := range measures {
		if m.decides {
			decide++
		}
	}
	a, err := verdict.Attribute(series, classes, verdict.Options{Confidence: shared(decide)})
	if err != nil {
		return // too many classes for what is left after the warm-up; there will be more
	}
	for _, s := range a.Shares {
		c := Class{Names: shortNames(s.Classes), Key: m.key, Of: m.name, Calls: s.Calls,
			Bytes: rounded(s.Bytes), Low: rounded(s.Low), High: rounded(s.High), Grows: s.Low > 0 && growth != verdict.Flat}
		at := slices.IndexFunc(r.Classes, func(other Class) bool { return slices.Equal(other.Names, c.Names) })
		switch {
		case at < 0:
			r.Classes = append(r.Classes, c)
		case c.Grows && c.Low > r.Classes[at].Low, !c.Grows && !r.Classes[at].Grows && c.High > r.Classes[at].High:
			r.Classes[at] = c
		}
	}
	for _, group := range a.Inseparable {
		for _, name := range shortNames(group) {
			if !slices.Contains(r.Tied, name) {
				r.Tied = append(r.Tied, name)
			}
		}
	}
}

// longestName is how many bytes of a class's name are kept.
const longestName = 80

func shortNames(names []string) []string {
	short := make([]string, len(names))
	for i, name := range names {
		if short[i] = name; len(name) > longestName {
			short[i] = "…" + strings.ToValidUTF8(name[len(name)-longestName:], "")
		}
	}
	return short
}

// rounded keeps four digits: JSON has no infinity, and sixteen digits of a byte say nothing.
func rounded(v float64) float64 {
	const most = 1e18
	if v == 0 || math.IsNaN(v) {
		return 0
	}
	v = max(min(v, most), -most)
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-3)
	if unit < 1e-9 {
		return 0
	}
	if unit >= 1 {
		return math.Round(v/unit) * unit
	}
	return math.Round(v*math.Round(1/unit)) / math.Round(1/unit)
}

// Within returns the report so that its JSON has at most so many bytes. If there is no room,
// it leaves the classes out that grow least.
func (r Report) Within(bytes int) Report {
	for {
		document, err := json.Marshal(r)
		switch {
		case err != nil || len(document) <= bytes:
			return r
		case len(r.Tied) > 0:
			r.Cut += len(r.Tied)
			r.Tied = nil
		case len(r.Classes) > 0:
			last := len(r.Classes) - 1
			r.Cut += len(r.Classes[last].Names)
			r.Classes = r.Classes[:last]
		default:
			return r
		}
	}
}

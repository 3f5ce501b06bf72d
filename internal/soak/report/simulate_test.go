package report_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// simulation is a run that never was, with a known growth.
type simulation struct {
	samples int
	each    int64   // steps between two samples
	growth  float64 // bytes a step, of native memory
	noise   float64 // bytes
	seed    uint64
}

// measure simulates one: a warm-up that fills, then a line with noise.
func (s simulation) measure(kind, name, unit string, decides bool, base, warmUp, slope, noise float64) soak.Measure {
	random := rand.New(rand.NewPCG(s.seed, uint64(len(kind))))
	m := soak.Measure{Key: kind, Name: name, Unit: unit, Decides: decides}
	end := int64(s.samples/6) * s.each
	wander := 0.0
	for i := range s.samples {
		step := int64(i) * s.each
		wander = 0.6*wander + random.NormFloat64()*noise
		filled := warmUp * (1 - math.Exp(-4*float64(step)/math.Max(float64(end), 1)))
		value := base + filled + slope*float64(step) + wander
		if unit != "bytes" {
			value = math.Round(base + slope*float64(step))
		}
		m.Steps, m.Values = append(m.Steps, step), append(m.Values, int64(value))
	}
	about := math.Max(3*noise/float64(int64(s.samples)*s.each), 1e-4)
	m.Trend = &soak.Trend{
		Growth: growthOf(slope-about, slope+about), Slope: slope, Low: slope - about, High: slope + about,
		LastStep: int64(s.samples-1) * s.each, Resolvable: 2 * about,
	}
	if warmUp > 0 {
		m.Trend.WarmUpEnd = end
	}
	return m
}

const budget = 1

func growthOf(low, high float64) string {
	switch {
	case high < budget:
		return "flat"
	case low > budget:
		return "leak"
	}
	return "undecided"
}

func (s simulation) measures() []soak.Measure {
	return []soak.Measure{
		s.measure(soak.MallocInUse, "native memory in use", "bytes", true, 41e6, 3.2e6, s.growth, s.noise),
		s.measure(soak.RubySlots, "Ruby heap in use", "bytes", true, 12.4e6, 6e5, s.growth*0.6, s.noise/6),
		s.measure(soak.GoHeap, "Go heap in use", "bytes", true, 6.1e6, 0, -0.02, s.noise/8),
		s.measure(soak.RSS, "resident memory (RSS)", "bytes", false, 88e6, 9e6, s.growth*1.1, s.noise*4),
		s.measure(soak.PSS, "proportional memory (PSS)", "bytes", false, 81e6, 9e6, s.growth*1.1, s.noise*4),
		s.measure(soak.MallocFree, "free memory that malloc keeps", "bytes", false, 3.4e6, 5e5, -0.4, s.noise*2),
		s.measure(soak.ObjectMemory, "native memory of Ruby objects", "bytes", false, 9.1e6, 2e5, 0.1, s.noise/5),
		s.measure(soak.LiveSlots, "live objects", "objects", false, 212_000, 0, s.growth/40, 0),
		s.measure(soak.Goroutines, "goroutines", "goroutines", false, 31, 0, 0, 0),
		s.measure(soak.Threads, "threads", "threads", false, 17, 0, 0, 0),
		s.measure(soak.BridgeBytes, "memory of the bridge", "bytes", false, 0, 0, 0, 0),
		s.measure(soak.Connections, "database connections", "connections", false, 9, 0, 0, 0),
	}
}

func (s simulation) result(growth, text string) *soak.Result {
	all := int64(s.samples-1) * s.each
	return &soak.Result{
		Verdict:  soak.Verdict{Growth: growth, Text: text, Budget: budget, Confidence: 0.99, Resolvable: 0.4},
		Measures: s.measures(),
		Run: soak.Run{
			Command: "tasker-rb soak templates/charge.yaml --iterations 20000 --budget 1", Templates: []string{"charge"}, Contexts: "the template's example",
			Tasks: all / 2, Steps: all, Threads: 8, Began: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
			Took: 24 * time.Second, Ran: 20 * time.Second, Sampling: 3100 * time.Millisecond, Samples: s.samples,
		},
		Environment: soak.Environment{
			Version: "0.9.0", Ruby: "ruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]", Go: "go1.25.0", Database: "PostgreSQL 15.14",
			Allocator: "glibc 2.36", System: "Linux 6.1.0 x86_64", CPUs: 8,
		},
	}
}

// leaking is a run whose handler keeps 66 bytes a step.
func leaking() *soak.Result {
	r := simulation{samples: 100, each: 404, growth: 66, noise: 60e3, seed: 1}.result("leak",
		"leak: native memory grows by 66 bytes a step (64 to 68), above the budget of 1")
	at := &soak.Line{File: "handlers/charge.rb", Line: 12, Code: "    SEEN << payload.dup"}
	r.Where = []soak.Place{
		{Kind: "ruby_heap", Growth: "leak", Bytes: 66, Low: 64, High: 68, Text: "Ruby objects that the handlers keep", Hint: "the suspects say who holds them"},
		{Kind: "fragmentation", Growth: "undecided", Bytes: 0.3, Low: -0.4, High: 1.1, Text: "resident memory grows a little faster than what is in use"},
	}
	r.Classes = []soak.Share{
		{Measure: soak.MallocInUse, Classes: []string{"Orders::Charge"}, Bytes: 66, Low: 64, High: 68, Calls: 20_000, Grows: true},
		{Measure: soak.MallocInUse, Classes: []string{"Orders::Reserve", "Orders::Notify"}, Bytes: 0.1, Low: -2.1, High: 2.3, Calls: 20_000},
	}
	r.Suspects = []soak.Suspect{
		{Kind: "objects", Class: "String", Allocated: at, Stored: at, Count: 1000, Bytes: 64, Own: true, Example: `"order 1234"`, Path: []soak.Holder{
			{Kind: "constant", Name: "Orders::SEEN", Class: "Array", At: &soak.Line{File: "handlers/charge.rb", Line: 3}}, {Kind: "element", Name: "[1234]", Class: "String"}}},
		{Kind: "container", Class: "Array", Count: 1000, Bytes: 8, Own: true, Path: []soak.Holder{{Kind: "constant", Name: "Orders::SEEN", Class: "Array"}}},
	}
	r.Notes = []soak.Note{{Text: "malloc keeps 3.4 MB that nobody uses", Hint: "MALLOC_ARENA_MAX=2 or jemalloc keep less"}}
	return r
}

// level is a run that holds its budget, after a warm-up.
func level() *soak.Result {
	return simulation{samples: 120, each: 333, growth: 0.02, noise: 9e3, seed: 2}.result("flat",
		"flat: no measure grows by more than 0.4 bytes a step, below the budget of 1")
}

// open is a run that is too short.
func open() *soak.Result {
	r := simulation{samples: 40, each: 100, growth: 2, noise: 2e5, seed: 3}.result("undecided",
		"undecided: native memory grows by 2 bytes a step (-148 to 152), and the budget of 1 lies between")
	r.Verdict.MoreTasks = 12_000
	return r
}

// compared is a run of two versions, of which ours leaks.
func compared() *soak.Result {
	r := leaking()
	other := simulation{samples: 100, each: 404, growth: 3, noise: 60e3, seed: 4}
	r.Against = &soak.Against{Name: "main (1f2e3d4)", Measures: other.measures()}
	for i := range r.Measures {
		m := &r.Measures[i]
		if m.Decides {
			d := m.Trend.Slope - r.Against.Measures[i].Trend.Slope
			m.Difference = &soak.Trend{Growth: growthOf(d-2, d+2), Slope: d, Low: d - 2, High: d + 2}
		}
	}
	return r
}

// long is a run with many samples.
func long() *soak.Result {
	return simulation{samples: 800, each: 5000, growth: 0.02, noise: 40e3, seed: 5}.result("flat", "flat: nothing grows")
}

// odd are results with parts that are missing or strange.
func odd() map[string]*soak.Result {
	bare := &soak.Result{}
	untried := level()
	for i := range untried.Measures {
		untried.Measures[i].Trend = nil
	}
	equal := level()
	for i := range equal.Measures {
		for j := range equal.Measures[i].Values {
			equal.Measures[i].Values[j] = 5_000_000
		}
		equal.Measures[i].Trend.Slope, equal.Measures[i].Trend.Low, equal.Measures[i].Trend.High = 0, 0, 0
	}
	zero := level()
	for i := range zero.Measures {
		clear(zero.Measures[i].Values)
		zero.Measures[i].Trend.Slope = 0
	}
	sinking := simulation{samples: 100, each: 404, growth: -120, noise: 60e3, seed: 6}.result("flat", "flat: it shrinks")
	endless := open()
	endless.Verdict.MoreTasks = 0
	for i := range endless.Measures {
		t := endless.Measures[i].Trend
		t.Low, t.High = math.Inf(-1), math.Inf(1)
		t.Resolvable = math.Inf(1)
	}
	boundless := level()
	boundless.Verdict.Budget, boundless.Verdict.Resolvable = math.Inf(1), math.NaN()
	for i := range boundless.Measures {
		boundless.Measures[i].Trend.Slope = math.NaN()
	}
	one := level()
	for i := range one.Measures {
		m := &one.Measures[i]
		m.Steps, m.Values, m.Trend = m.Steps[:1], m.Values[:1], nil
	}
	none := level()
	for i := range none.Measures {
		none.Measures[i].Steps, none.Measures[i].Values = nil, nil
	}
	unexplained := leaking()
	unexplained.Suspects, unexplained.Classes, unexplained.Where, unexplained.Notes = nil, nil, nil, nil
	native := leaking()
	native.Suspects = nil
	native.Classes = nil
	native.Where[0] = soak.Place{Kind: "native", Growth: "leak", Bytes: 66, Low: 64, High: 68, Hint: "run with a heap profiler of malloc"}
	many := leaking()
	for i := range 40 {
		many.Suspects = append(many.Suspects, soak.Suspect{Kind: "objects", Class: fmt.Sprintf("Class%d", i), Count: 10, Bytes: 40})
	}
	interrupted := open()
	interrupted.Run.Interrupted, interrupted.Run.NoDatabase = true, true
	interrupted.Run.Command = ""
	return map[string]*soak.Result{
		"bare": bare, "untried": untried, "equal": equal, "zero": zero, "sinking": sinking, "endless": endless, "boundless": boundless, "one": one, "none": none,
		"unexplained": unexplained, "native": native, "many": many, "interrupted": interrupted, "long": long(), "compared": compared(),
		"leaking": leaking(), "level": level(), "open": open(), "hostile": hostile(),
	}
}

const attack = "\x1b[31m</style><script>alert('x')</script>\"><img src=x onerror=1>\x00\u202e{{.}}"

// hostile has an attack in each text that may come from a handler.
func hostile() *soak.Result {
	r := compared()
	r.Against.Name = attack
	r.Verdict.Text = attack
	for i := range r.Classes {
		r.Classes[i].Classes = []string{attack, attack}
	}
	at := &soak.Line{File: attack, Line: 1, Code: attack}
	for i := range r.Suspects {
		r.Suspects[i] = soak.Suspect{Kind: "objects", Class: attack, Allocated: at, Stored: at, Count: 1, Bytes: 1, Example: attack, Path: []soak.Holder{{Kind: attack, Name: attack, Class: attack, At: at}, {Kind: attack}}}
	}
	for i := range r.Where {
		r.Where[i].Kind, r.Where[i].Text, r.Where[i].Hint = attack, attack, attack
	}
	r.Notes = []soak.Note{{Text: attack, Hint: attack}}
	r.Run.Command, r.Run.Contexts, r.Run.Templates = attack, attack, []string{attack}
	r.Environment = soak.Environment{Version: attack, Ruby: attack, Go: attack, Database: attack, Allocator: attack, System: attack}
	for i := range r.Measures {
		r.Measures[i].Name = attack
	}
	return r
}

package watch_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/watch"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{"package": "ExampleNew is the package in use"})
}

func growthOf(t *testing.T, r watch.Report, key string) watch.Growth {
	t.Helper()
	for _, g := range r.Measures {
		if g.Key == key {
			return g
		}
	}
	t.Fatalf("the report has no %s", key)
	return watch.Growth{}
}

// One class leaves 600 bytes behind, beside two that leave nothing.
func TestALeakIsFoundWithItsClass(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		p := newProcess(seed, watch.Options{}, map[string]int64{"Shop::Charge": 600})
		p.minutes(100, "Shop::Reserve", "Shop::Charge", "Shop::Notify")
		r := p.Report()
		require.Empty(t, r.Waits())
		require.Equal(t, 99, r.Samples)
		g := growthOf(t, r, soak.MallocInUse)
		require.Equal(t, "leak", g.Growth, "%+v", g)
		require.Less(t, g.Low, 200.0)
		require.Greater(t, g.High, 200.0)
		require.Equal(t, "leak", growthOf(t, r, soak.RSS).Growth)
		require.NotEqual(t, "leak", growthOf(t, r, soak.OldObjects).Growth)
		require.NotEqual(t, "leak", growthOf(t, r, soak.GoHeap).Growth)
		require.Equal(t, []string{"Shop::Charge"}, r.Classes[0].Names)
		require.True(t, r.Classes[0].Grows)
		require.Less(t, r.Classes[0].Low, 600.0)
		require.Greater(t, r.Classes[0].High, 600.0)
		require.Len(t, r.Classes, 3)
		for _, c := range r.Classes[1:] {
			require.False(t, c.Grows, "%+v", c)
		}
		c, grows := p.Growing()
		require.True(t, grows)
		require.Equal(t, r.Classes[0], c)
	}
}

func TestNoLeakIsFoundInGarbage(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		p := newProcess(seed, watch.Options{}, nil)
		p.minutes(80, "A", "B")
		r := p.Report()
		for _, g := range r.Measures {
			require.NotEqual(t, "leak", g.Growth, "%+v", g)
		}
		require.Equal(t, "flat", growthOf(t, r, soak.RSS).Growth)
		_, grows := p.Growing()
		require.False(t, grows, "%+v", r.Classes)
	}
}

// Ruby collects once in several minutes, and the garbage is that of one class. It must not look
// like a leak of this class. Windows last until a collection, but not for ever.
func TestGarbageIsNoLeakOfTheClassThatMakesIt(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		p := newProcess(seed, watch.Options{}, map[string]int64{"Leaks": 2000, "Wasteful": 0})
		p.limit = 120 << 20
		p.minutes(240, "Leaks", "Wasteful")
		r := p.Report()
		require.Less(t, r.Samples, 200)
		require.Greater(t, r.Samples, 50)
		require.Equal(t, []string{"Leaks"}, r.Classes[0].Names)
		require.True(t, r.Classes[0].Grows)
		require.False(t, r.Classes[1].Grows, "%+v", r.Classes[1])
	}
	p := newProcess(9, watch.Options{}, nil)
	p.limit = 1 << 50
	p.minutes(101, "A")
	require.Equal(t, 10, p.Report().Samples)
}

// Before there are enough samples, the report says how long that takes. A window without a
// step is no sample.
func TestAReportSaysHowLongItTakes(t *testing.T) {
	t.Parallel()
	p := newProcess(1, watch.Options{}, nil)
	r := p.Report()
	require.Equal(t, "not enough samples yet: 0 of 40; no step has ended so far", r.Waits())
	require.Equal(t, int64(watch.Unknown), r.RSS)
	for range 300 {
		p.second(nil)
	}
	require.Equal(t, "not enough samples yet: 0 of 40; no step has ended so far", p.Report().Waits())
	p.call("A")
	require.Equal(t, "not enough samples yet: 0 of 40, in 40 minutes or more", p.Report().Waits())
	p.limit = 1 << 20
	p.minutes(12, "A")
	r = p.Report()
	require.Equal(t, 12, r.Samples)
	require.Regexp(t, `^not enough samples yet: 12 of 40, in about \d\d minutes at the present rate$`, r.Waits())
	require.Equal(t, "not enough samples yet", growthOf(t, r, soak.MallocInUse).Words(r.Rate))
	require.Equal(t, int64(140<<20), growthOf(t, r, soak.RSS).Now)
	p.minutes(28, "A")
	r = p.Report()
	require.Empty(t, r.Waits())
	require.Contains(t, growthOf(t, r, soak.MallocInUse).Words(r.Rate), " bytes a step (")
}

// The samples of a worker that runs for a week are few, go back to its start, and find a leak
// of 40 bytes a step.
func TestSamplesAreBounded(t *testing.T) {
	t.Parallel()
	p := newProcess(3, watch.Options{Samples: 60}, map[string]int64{"A": 40})
	most := 0
	for range 500 {
		p.minutes(1, "A")
		r := p.Report()
		most = max(most, r.Samples)
	}
	r := p.Report()
	require.Equal(t, 60, most)
	require.GreaterOrEqual(t, r.Samples, 30)
	require.Equal(t, 16*60.0, r.Window, "twice as long, four times")
	require.Equal(t, began.Add(time.Second), r.Since)
	g := growthOf(t, r, soak.MallocInUse)
	require.Equal(t, "leak", g.Growth, "%+v", g)
	require.InDelta(t, 40, g.Slope, 5)
}

// Classes beyond the most called ones are joined, and a document has a largest size.
func TestADocumentIsBounded(t *testing.T) {
	t.Parallel()
	var classes []string
	for i := range 300 {
		classes = append(classes, fmt.Sprintf("%s::Class%d", strings.Repeat("Ähnlich::", 30), i))
	}
	p := newProcess(4, watch.Options{Classes: 60}, map[string]int64{classes[7]: 50_000})
	for range 150 {
		p.minutes(1, classes...)
		for range 500 + p.random.IntN(200) {
			p.call(classes[7])
		}
	}
	r := p.Report()
	require.LessOrEqual(t, len(r.Classes), 61)
	require.GreaterOrEqual(t, len(r.Classes), 60)
	names := map[string]bool{}
	for _, c := range r.Classes {
		names[c.Names[0]] = true
	}
	require.True(t, names[watch.Others])
	require.Contains(t, r.Classes[0].Names[0], "::Class7")
	require.True(t, r.Classes[0].Grows)
	document, err := json.Marshal(r.Within(8 << 10))
	require.NoError(t, err)
	require.LessOrEqual(t, len(document), 8<<10)
	var back watch.Report
	require.NoError(t, json.Unmarshal(document, &back))
	require.Equal(t, len(r.Classes), len(back.Classes)+back.Cut)
	require.NotZero(t, back.Cut)
	require.Equal(t, r.Classes[0], back.Classes[0])
	require.Equal(t, r.Measures, back.Measures)
}

// Two classes that always run together are one.
func TestClassesThatCannotBeToldApart(t *testing.T) {
	t.Parallel()
	p := newProcess(5, watch.Options{}, map[string]int64{"Second": 1800})
	p.minutes(100, "First", "Other")
	r := p.Report()
	require.Equal(t, []string{"Second", "First"}, r.Classes[0].Names)
	require.Contains(t, r.Classes[0].String(), "Second and First: ")
}

// A measure that cannot be read has no verdict, and the others have theirs.
func TestAMeasureThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := watch.New(watch.Options{Window: time.Second})
	for i := range 50 {
		w.Called("A")
		w.Read(watch.Reading{At: began.Add(time.Duration(i) * time.Second), Native: watch.Unknown, Objects: watch.Unknown, GoHeap: 1000, RSS: 4096, Collections: watch.Unknown})
	}
	r := w.Report()
	require.Equal(t, "cannot be read", growthOf(t, r, soak.MallocInUse).Words(r.Rate))
	require.Contains(t, growthOf(t, r, soak.GoHeap).Words(r.Rate), "flat")
}

func TestCallsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	w := watch.New(watch.Options{Window: time.Nanosecond})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 1000 {
				w.Called(fmt.Sprint("Class", i))
				w.Read(watch.Reading{At: began.Add(time.Duration(n) * time.Second), GoHeap: 1, RSS: 1, Collections: watch.Unknown})
			}
			_ = w.Report()
		})
	}
	all.Wait()
	require.Equal(t, int64(8000), w.Report().Steps)
}

func BenchmarkReport(b *testing.B) {
	var classes []string
	for i := range 20 {
		classes = append(classes, fmt.Sprint("Class", i))
	}
	p := newProcess(6, watch.Options{}, nil)
	p.minutes(239, classes...)
	for b.Loop() {
		b.StopTimer()
		p.minutes(1, classes[0])
		b.StartTimer()
		_ = p.Report()
	}
}

func BenchmarkRead(b *testing.B) {
	w := watch.New(watch.Options{})
	for b.Loop() {
		w.Called("A")
		w.Read(watch.Reading{At: began, Native: 1, Objects: 1, GoHeap: 1, RSS: 1, Collections: watch.Unknown})
	}
}

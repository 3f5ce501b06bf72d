package watch_test

import (
	"math/rand/v2"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/soak/watch"
)

// process is a simulated worker. Its garbage grows with each step, until a collection takes
// it away.
type process struct {
	*watch.Watch
	random *rand.Rand
	leaks  map[string]int64 // bytes of native memory a call
	limit  int64            // of garbage
	now    time.Time
	leaked int64
	garbage
	collections int64
}

// garbage is what a collection frees.
type garbage struct{ native, slots, heap int64 }

var began = time.Date(2026, 2, 3, 9, 30, 0, 0, time.UTC)

func newProcess(seed uint64, o watch.Options, leaks map[string]int64) *process {
	return &process{Watch: watch.New(o), random: rand.New(rand.NewPCG(seed, 1)), leaks: leaks, limit: 20 << 20, now: began}
}

func (p *process) call(class string) {
	if class == "First" {
		p.call("Second")
	}
	p.Called(class)
	p.leaked += p.leaks[class]
	p.native += p.random.Int64N(100_000)
	p.slots += 40 * p.random.Int64N(1000)
	p.heap += p.random.Int64N(20_000)
	if p.native > p.limit { // a full collection
		p.collections++
		p.native, p.slots = p.random.Int64N(50_000), 40*p.random.Int64N(2000)
	}
	if p.heap > 4<<20 {
		p.heap = p.random.Int64N(10_000)
	}
}

// second is one second of work: so many calls of each class, more or less.
func (p *process) second(calls map[string]int, classes ...string) {
	for _, class := range classes {
		for range p.random.IntN(2*calls[class] + 1) {
			p.call(class)
		}
	}
	p.now = p.now.Add(time.Second)
	reading := watch.Reading{At: p.now, Native: 48<<20 + p.leaked + p.native, Objects: watch.Unknown, GoHeap: 9<<20 + p.heap,
		RSS: 120<<20 + p.leaked + 20<<20, Collections: watch.Unknown}
	if p.now.Second()%2 == 0 {
		reading.Objects, reading.Collections = 12<<20+p.slots, p.collections
	}
	p.Read(reading)
}

// minutes work for some minutes, of which each is busier than another with one class.
func (p *process) minutes(n int, classes ...string) {
	for range n {
		calls := map[string]int{}
		for _, class := range classes {
			calls[class] = 1 + p.random.IntN(12)
		}
		for range 60 {
			p.second(calls, classes...)
		}
	}
}

package watch

import (
	"slices"
	"sync"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// Options configure a [Watch]. The zero value is a sound choice.
type Options struct {
	// Window is the time of one sample. Default a minute.
	Window time.Duration
	// Samples is how many are kept. Default 240, which are four hours at first.
	Samples int
	// Classes is how many handler classes are told apart, those with the most calls. The
	// others are joined. Default 20.
	Classes int
	// Budget is the growth that is still flat, in bytes a step. Default 16.
	Budget float64
}

// Unknown is the value of a measure that was not read.
const Unknown = -1

// Reading is what the process uses at one moment, in bytes, or [Unknown].
type Reading struct {
	At     time.Time
	Native int64 // in use, of malloc
	// Objects are the slots of old Ruby objects, that is of those that have survived some
	// collections. The live ones are no measure: CRuby lets garbage fill what the heap has.
	Objects int64
	GoHeap  int64 // in use after the last collection
	RSS     int64
	// Collections is how often Ruby has collected so far, or [Unknown].
	Collections int64
}

// measure is one of the values of a reading.
type measure struct {
	key     string
	name    string
	quantum int64
	of      func(Reading) int64
	decides bool // classes are found for it; RSS is what the others and the kernel make of it
}

// measures are in the order of a report.
var measures = [...]measure{
	{soak.MallocInUse, "native memory", 16, func(r Reading) int64 { return r.Native }, true},
	{soak.OldObjects, "old Ruby objects", 40, func(r Reading) int64 { return r.Objects }, true},
	{soak.GoHeap, "Go heap", 8, func(r Reading) int64 { return r.GoHeap }, true},
	{soak.RSS, "resident memory", 4096, func(r Reading) int64 { return r.RSS }, false},
}

// point is the smallest value of a measure in a window, and what had been called by then.
type point struct {
	value int64 // or Unknown
	steps int64
	calls []int64 // by the number of the class; classes that came later are not in it
}

// points are those of each measure.
type points [len(measures)]point

func none() (p points) {
	for i := range p {
		p[i].value = Unknown
	}
	return p
}

// lower reports whether a value belongs in the point's place.
func (p point) lower(value int64) bool {
	return value != Unknown && (p.value == Unknown || value < p.value)
}

// sample is one window.
type sample struct {
	at     time.Time // its end
	steps  int64     // ended so far
	lowest points
}

// Watch watches one process. Its methods may be called at the same time.
type Watch struct {
	options Options

	mu      sync.Mutex
	began   time.Time
	window  time.Duration // of one sample now
	opened  time.Time     // the present window
	lowest  points        // of the present window
	before  int64         // collections at the first reading of the present window that says so, or Unknown
	latest  int64         // the same at the last one
	last    Reading
	steps   int64
	numbers map[string]int // of the classes
	names   []string
	calls   []int64 // so far
	samples []sample

	judging sync.Mutex
	taken   int64  // samples taken so far, of those that judged knows
	judged  Report // the latest, with its measures and classes
	count   int64  // samples taken so far; mu guards it
}

// New returns a watch that has read nothing.
func New(o Options) *Watch {
	if o.Window <= 0 {
		o.Window = time.Minute
	}
	if o.Samples <= 0 {
		o.Samples = 240
	}
	if o.Classes <= 0 {
		o.Classes = 20
	}
	if o.Budget <= 0 {
		o.Budget = 16
	}
	return &Watch{options: o, window: o.Window, lowest: none(), before: Unknown, latest: Unknown, numbers: map[string]int{}}
}

// Others is the name of the classes that are joined. No Ruby class has such a name.
const Others = "others"

// mostClasses bounds what is counted. Calls of classes that come after that are others.
const mostClasses = 200

// Called counts a step that has ended, by the class of its handler.
func (w *Watch) Called(class string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	number, known := w.numbers[class]
	if !known && len(w.names) >= mostClasses {
		class = Others
		number, known = w.numbers[class]
	}
	if !known {
		number = len(w.names)
		w.numbers[class] = number
		w.names = append(w.names, class)
		w.calls = append(w.calls, 0)
	}
	w.calls[number]++
}

// Read adds a reading. It reports whether a window has ended with it.
func (w *Watch) Read(r Reading) (ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began.IsZero() {
		w.began, w.opened = r.At, r.At
	}
	var calls []int64 // the points share a copy
	for i, m := range measures {
		if value := m.of(r); w.lowest[i].lower(value) {
			if calls == nil {
				calls = slices.Clone(w.calls)
			}
			w.lowest[i] = point{value: value, steps: w.steps, calls: calls}
		}
	}
	w.remember(r)
	if r.Collections != Unknown {
		if w.latest = r.Collections; w.before == Unknown {
			w.before = r.Collections
		}
	}
	if !w.full(r.At) {
		return false
	}
	w.end(r.At)
	return true
}

// longest is how many windows one lasts at most, if Ruby does not collect.
const longest = 10

// full says whether the present window has ended. Without a collection of Ruby's, its
// smallest reading is full of garbage, and would follow the calls of the classes that make
// it. The caller holds w.mu.
func (w *Watch) full(now time.Time) bool {
	lasts := now.Sub(w.opened)
	return lasts >= w.window && (w.before == Unknown || w.latest > w.before || lasts >= longest*w.window)
}

// remember keeps the latest value of each measure, for whoever asks how much it is now.
func (w *Watch) remember(r Reading) {
	for _, v := range []struct {
		now  *int64
		last int64
	}{{&r.Native, w.last.Native}, {&r.Objects, w.last.Objects}, {&r.GoHeap, w.last.GoHeap}, {&r.RSS, w.last.RSS}} {
		if *v.now == Unknown && !w.last.At.IsZero() {
			*v.now = v.last
		}
	}
	w.last = r
}

// end makes a sample of the window, if steps have ended in it. The caller holds w.mu.
func (w *Watch) end(at time.Time) {
	lowest := w.lowest
	w.opened, w.lowest, w.before, w.latest = at, none(), Unknown, Unknown
	before := int64(0)
	if n := len(w.samples); n > 0 {
		before = w.samples[n-1].steps
	}
	if w.steps == before {
		return
	}
	if len(w.samples) >= w.options.Samples {
		w.join()
	}
	w.samples = append(w.samples, sample{at: at, steps: w.steps, lowest: lowest})
	w.count++
}

// join makes one sample of each two, as a window of twice the length would have.
func (w *Watch) join() {
	joined := w.samples[:0]
	for i := 0; i < len(w.samples); i += 2 {
		s := w.samples[i]
		if i+1 < len(w.samples) {
			s = w.samples[i+1]
			for j, p := range w.samples[i].lowest {
				if s.lowest[j].lower(p.value) {
					s.lowest[j] = p
				}
			}
		}
		joined = append(joined, s)
	}
	clear(w.samples[len(joined):]) // of their calls
	w.samples = joined
	w.window *= 2
}

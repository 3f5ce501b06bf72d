package runner

import (
	"sync"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// clock is the machine's, but it jumps: when nothing has happened for a moment and tasks
// wait for their retries, it goes on to the next one. A soak run is about memory, and a
// backoff of minutes would only make it long.
type clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	waits  map[*wait]bool
	active int       // handlers that run
	last   time.Time // something happened then
	alarm  *time.Timer
	jumps  bool // tasks are under way
}

type wait struct {
	at   time.Time
	fire func()
	real *time.Timer
}

// idleMoment is how long nothing must happen before the clock jumps. A statement of the
// engine takes less; if one takes longer, a retry is early, which harms nothing.
const idleMoment = 20 * time.Millisecond

func newClock() *clock { return &clock{waits: map[*wait]bool{}} }

// Now implements orchestration.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// At implements orchestration.Clock.
func (c *clock) At(at time.Time, _ orchestration.Wait, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &wait{at: at, fire: f}
	w.real = time.AfterFunc(at.Sub(time.Now().Add(c.ahead)), func() { c.due(w) })
	c.waits[w] = true
	c.watch()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		w.real.Stop()
		delete(c.waits, w)
	}
}

func (c *clock) due(w *wait) {
	c.mu.Lock()
	waits := c.waits[w]
	delete(c.waits, w)
	c.mu.Unlock()
	if waits {
		w.fire()
	}
}

// running says whether tasks are under way: only then does the clock jump.
func (c *clock) running(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumps, c.last = yes, time.Now()
	c.watch()
}

// happened says that something goes on. handlers is 1 when one begins, -1 when it ends.
func (c *clock) happened(handlers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active += handlers
	c.last = time.Now()
	c.watch()
}

// watch has the clock looked at in a moment. The caller must hold c.mu.
func (c *clock) watch() {
	if c.alarm != nil || !c.jumps || c.active > 0 || len(c.waits) == 0 {
		return
	}
	c.alarm = time.AfterFunc(idleMoment, c.look)
}

func (c *clock) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarm = nil
	if !c.jumps || c.active > 0 || len(c.waits) == 0 {
		return
	}
	if time.Since(c.last) < idleMoment {
		c.watch()
		return
	}
	var next *wait
	for w := range c.waits {
		if next == nil || w.at.Before(next.at) {
			next = w
		}
	}
	now := time.Now().Add(c.ahead)
	if next.at.After(now) {
		c.ahead += next.at.Sub(now)
		now = next.at
	}
	for w := range c.waits { // the others' timers are nearer now
		w.real.Reset(w.at.Sub(now))
	}
	c.last = time.Now()
	c.watch()
}

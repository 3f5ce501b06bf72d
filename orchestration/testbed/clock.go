package testbed

import (
	"sync"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// clock stands still, and goes on to the next due moment when all runs wait for one.
type clock struct {
	follow func(time.Time) // told of a jump before anybody else notices it; may be nil

	mu       sync.Mutex
	time     time.Time
	timers   map[*timer]bool
	runs     int  // engines that run a task
	handlers int  // handlers that run
	jumping  bool // follow is being told
}

type timer struct {
	at   time.Time
	wait orchestration.Wait
	fire func()
}

func newClock(follow func(time.Time)) *clock {
	return &clock{follow: follow, time: exact(time.Now()), timers: map[*timer]bool{}}
}

// exact is a time as PostgreSQL stores it.
func exact(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Now implements orchestration.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

// At implements orchestration.Clock.
func (c *clock) At(at time.Time, wait orchestration.Wait, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at, wait, f}
	c.timers[t] = true
	c.settle()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, t)
	}
}

// settle fires what is due. If nothing is, no handler runs and every run waits, the clock
// goes on to the first moment that one of them waits for. Without runs, the workers count.
// The caller must hold c.mu.
func (c *clock) settle() {
	if c.fireDue() || c.handlers > 0 || c.jumping {
		return
	}
	wait := orchestration.TaskWait
	if c.runs == 0 && !c.any(wait) {
		wait = orchestration.WorkerWait
	}
	idle := 0
	var next time.Time
	for t := range c.timers {
		if t.wait == wait {
			idle++
			if next.IsZero() || t.at.Before(next) {
				next = t.at
			}
		}
	}
	if idle > 0 && idle >= c.runs {
		c.jump(next)
	}
}

// jump goes on to a time. Nobody notices it before follow has been told.
func (c *clock) jump(to time.Time) {
	to = exact(to)
	if c.follow == nil {
		c.time = to
		c.fireDue()
		return
	}
	c.jumping = true
	go func() {
		c.follow(to)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.jumping = false
		if to.After(c.time) {
			c.time = to
		}
		c.settle()
	}()
}

// any reports whether there is a wait of that kind.
func (c *clock) any(wait orchestration.Wait) bool {
	for t := range c.timers {
		if t.wait == wait {
			return true
		}
	}
	return false
}

// fireDue fires the timers whose time has come.
func (c *clock) fireDue() (any bool) {
	for t := range c.timers {
		if !t.at.After(c.time) {
			delete(c.timers, t)
			go t.fire()
			any = true
		}
	}
	return any
}

// begin counts what the clock waits for: a run, or a handler.
func (c *clock) begin(count *int) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*count++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		*count--
		c.settle()
	}
}

// set sets the time.
func (c *clock) set(to time.Time) {
	if c.follow != nil {
		c.follow(to)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = to
	c.fireDue()
}

// advance sets the time, but never back. It reports whether that changed anything.
func (c *clock) advance(to time.Time) bool {
	if to = exact(to); !to.After(c.Now()) {
		return false
	}
	if c.follow != nil {
		c.follow(to)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !to.After(c.time) {
		return false
	}
	c.time = to
	c.fireDue()
	return true
}

package orchestrationtest

import (
	"sync"
	"time"
)

// clock stands still, and goes on to the next due moment when all runs wait for one.
type clock struct {
	mu     sync.Mutex
	time   time.Time
	timers map[*timer]bool
	runs   int // calls of Finish under way
}

type timer struct {
	at   time.Time
	idle bool
	fire func()
}

func newClock() *clock {
	return &clock{time: time.Now().UTC().Truncate(time.Microsecond), timers: map[*timer]bool{}}
}

// Now implements orchestration.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

// At implements orchestration.Clock.
func (c *clock) At(at time.Time, idle bool, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at, idle, f}
	c.timers[t] = true
	c.settle()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, t)
	}
}

// settle fires what is due. If nothing is, and every run waits, the clock goes on to the
// first moment that one of them waits for. The caller must hold c.mu.
func (c *clock) settle() {
	if c.fireDue() {
		return
	}
	idle := 0
	var next time.Time
	for t := range c.timers {
		if t.idle {
			idle++
			if next.IsZero() || t.at.Before(next) {
				next = t.at
			}
		}
	}
	if idle > 0 && idle >= c.runs {
		c.time = next
		c.fireDue()
	}
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

// beginRun says that a run is under way, so the clock waits for it.
func (c *clock) beginRun() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.runs--
		c.settle()
	}
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
	c.fireDue()
}

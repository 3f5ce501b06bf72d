package orchestration

import (
	"slices"
	"sync"
	"time"
)

// suspectAfter is how often the process of a step must have died for the step to run with
// nothing beside it. Then the next such death can be nobody else's fault.
const suspectAfter = 2

// suspect reports whether the step must run with nothing beside it.
func (s *stepRun) suspect() bool { return s.crashes >= suspectAfter }

// How long an engine waits for the moment when nothing else runs, before it lets others go
// on, and when it tries again. A step that runs for hours must not stop all others. Both
// double with each try in vain, as far as maxDoublings: otherwise a suspect beside steps that
// all take a minute would never run.
const (
	alonePatience = 10 * time.Second
	alonePause    = 30 * time.Second
	maxDoublings  = 5
)

// tries are those of a suspect to run alone, in this engine.
type tries struct {
	inVain int
	again  time.Time // when it may try again
}

// mostTries bounds the memory for suspects that another engine has run, or that have ended.
const mostTries = 1000

// company lets steps into an engine: many at a time, or one suspect that has nothing beside
// it. A step is in it from before its claim until its outcome is recorded. While a
// suspect waits for its turn, no other step is let in.
type company struct {
	patience, pause time.Duration // of a suspect

	mu       sync.Mutex
	steps    int
	alone    bool            // the only step is a suspect
	suspects []chan struct{} // of the tasks with a suspect that waits, the first first
	others   []chan struct{} // of the tasks with other steps, and the workers, that wait
	tries    map[int64]tries // by step; only of suspects that have waited in vain
}

// enter lets a step in. If that is not possible now, woken receives a value when it may be.
func (c *company) enter(suspect bool, woken chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case suspect && c.steps == 0 && (len(c.suspects) == 0 || c.suspects[0] == woken):
		c.suspects = slices.DeleteFunc(c.suspects, func(w chan struct{}) bool { return w == woken })
		c.steps, c.alone = 1, true
		return true
	case suspect:
		c.suspects = addOnce(c.suspects, woken)
	case !c.alone && len(c.suspects) == 0:
		c.steps++
		return true
	default:
		c.others = addOnce(c.others, woken)
	}
	return false
}

// open reports whether steps are let in now. If not, woken receives a value once they are.
func (c *company) open(woken chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.alone && len(c.suspects) == 0 {
		return true
	}
	c.others = addOnce(c.others, woken)
	return false
}

func addOnce(list []chan struct{}, c chan struct{}) []chan struct{} {
	if slices.Contains(list, c) {
		return list
	}
	return append(list, c)
}

// enterSuccessor lets a step in whose claim travels with a success.
func (c *company) enterSuccessor() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alone || len(c.suspects) > 0 {
		return false
	}
	c.steps++
	return true
}

// leave ends the stay of a step.
func (c *company) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.steps--; c.steps == 0 {
		c.alone = false
		c.wakeNext()
	}
}

// leaveLine takes a task whose suspect does not wait any more out of the line of suspects:
// it was cancelled, or another engine has run it. Those who waited for it are woken.
func (c *company) leaveLine(woken chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := len(c.suspects)
	c.suspects = slices.DeleteFunc(c.suspects, func(w chan struct{}) bool { return w == woken })
	if len(c.suspects) < waiting && !c.alone && (c.steps == 0 || len(c.suspects) == 0) {
		c.wakeNext()
	}
}

// giveUp ends the wait of a task.
func (c *company) giveUp(woken chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	is := func(w chan struct{}) bool { return w == woken }
	c.suspects, c.others = slices.DeleteFunc(c.suspects, is), slices.DeleteFunc(c.others, is)
	if !c.alone && (c.steps == 0 || len(c.suspects) == 0) {
		c.wakeNext()
	}
}

// wakeNext wakes the task whose turn it is: that of a suspect, or else all.
func (c *company) wakeNext() {
	if len(c.suspects) > 0 {
		signal(c.suspects[0])
		return
	}
	for _, w := range c.others {
		signal(w)
	}
	c.others = c.others[:0]
}

// patienceOf is how long a suspect waits for the end of all other steps.
func (c *company) patienceOf(step int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.patience << min(c.tries[step].inVain, maxDoublings)
}

// again is when a suspect may wait for its turn again; zero if it may now.
func (c *company) again(step int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries[step].again
}

// inVain takes note that a suspect has waited in vain.
func (c *company) inVain(step int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tries == nil || len(c.tries) >= mostTries {
		c.tries = map[int64]tries{}
	}
	t := c.tries[step]
	t.again = time.Now().Add(c.pause << min(t.inVain, maxDoublings))
	t.inVain++
	c.tries[step] = t
}

// forget takes note that a suspect has got its turn.
func (c *company) forget(step int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tries, step)
}

// forgetAll forgets all tries: the numbers of steps are about to be given again.
func (c *company) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries = nil
}

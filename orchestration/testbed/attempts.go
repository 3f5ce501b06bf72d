package testbed

import (
	"context"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// awaitAbandoned waits until no handler of the step runs any more that a crash has left
// behind. A process that has died would run none. It does not wait for ever.
func (b *Bed) awaitAbandoned(ctx context.Context, x *orchestration.StepExecution) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, a := range b.abandoned(x) {
		select {
		case <-a.returned:
		case <-ctx.Done():
		case <-late.C:
			b.logger.Warn("testbed: a handler of a dropped engine has not returned; the next attempt begins beside it", "step", x.StepName)
			return
		}
	}
}

func (b *Bed) abandoned(x *orchestration.StepExecution) (all []*attempt) {
	if !b.crashed.Load() {
		return nil
	}
	b.seating.Lock()
	defer b.seating.Unlock()
	for _, i := range b.all {
		i.mu.Lock()
		for other, a := range i.attempts {
			if i.gone && other.TaskID == x.TaskID && other.StepName == x.StepName {
				all = append(all, a)
			}
		}
		i.mu.Unlock()
	}
	return all
}

// Expire ends the time of an attempt whose timeout was asked for in its sleep: the handler
// is about to sleep. It reports whether it was.
func (b *Bed) Expire(taskID int64, step string, attempt int) bool {
	a := b.attempt(attemptKey{taskID, step, attempt})
	if a == nil {
		return false
	}
	_, strikes := a.strikesAt(Sleep, Timeout)
	if strikes {
		a.x.Expire()
	}
	return strikes
}

// Expires reports whether the attempt's time is to end when it sleeps.
func (b *Bed) Expires(taskID int64, step string, attempt int) bool {
	a := b.attempt(attemptKey{taskID, step, attempt})
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fault != nil && a.fault.Kind == Timeout && a.fault.At == Sleep
}

// Effect adds an effect outside the database to the trace of its task. The entry has TaskID,
// Step and Attempt. It is dropped if the attempt does not run any more, or has crashed.
func (b *Bed) Effect(e Entry) {
	a := b.attempt(attemptKey{e.TaskID, e.Step, e.Attempt})
	if a != nil && a.run != nil {
		e.Kind = EntryEffect
		a.run.add(e)
	}
}

// attempt returns an attempt that runs in an engine that is alive, or nil.
func (b *Bed) attempt(key attemptKey) *attempt {
	b.seating.Lock()
	defer b.seating.Unlock()
	for _, i := range b.seats {
		if a := i.attempt(key); a != nil {
			return a
		}
	}
	return nil
}

func (i *instance) attempt(key attemptKey) *attempt {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return nil
	}
	for x, a := range i.attempts {
		if keyOf(x) == key {
			return a
		}
	}
	return nil
}

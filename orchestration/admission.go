package orchestration

import (
	"slices"
	"time"
)

// threadPatience is how long a worker keeps a step or a task for which it has no thread.
// After that another worker may take it.
const threadPatience = time.Second

// admission is what one task waits for before it may claim steps: a thread for each, and
// the company of other steps, or none.
type admission struct {
	engine  *Engine
	woken   chan struct{} // receives a value when a step may be admitted
	places  []*threadsPlace
	refused []*Threads // in this pass: no step of theirs was admitted

	alone   bool      // it waits for the end of all other steps
	others  bool      // it waits for the end of a step that runs alone
	paused  bool      // a suspect has waited for that in vain, and waits for its next try
	waiting time.Time // since when nothing was admitted; zero if nothing waits

	aloneSince time.Time // since when a suspect waits for the end of all other steps; zero if none does
	aloneStep  int64     // that suspect
	aloneAgain time.Time // if paused: when the first of the suspects tries again
}

func newAdmission(e *Engine) *admission { return &admission{engine: e, woken: make(chan struct{}, 1)} }

// admit reports whether the step may be claimed now.
func (a *admission) admit(s *stepRun) bool {
	if len(a.refused) > 0 && slices.Contains(a.refused, s.threads) {
		return false
	}
	if a.alone || a.others && !s.suspect() {
		return false
	}
	if s.suspect() {
		if again := a.engine.company.again(s.id); time.Now().Before(again) {
			if !a.paused || again.Before(a.aloneAgain) {
				a.aloneAgain = again
			}
			a.paused = true
			a.wait()
			return false
		}
	}
	if !a.engine.company.enter(s.suspect(), a.woken) {
		a.wait()
		switch {
		case !s.suspect():
			a.others = true
		case a.aloneSince.IsZero():
			a.aloneSince, a.aloneStep = time.Now(), s.id
			fallthrough
		default:
			a.alone = true
		}
		return false
	}
	if s.threads == nil || s.threads.admit(a.place(s.threads)) {
		if s.suspect() {
			a.engine.company.forget(s.id)
		}
		a.restart()
		return true
	}
	a.engine.company.leave()
	a.refused = append(a.refused, s.threads)
	a.wait()
	return false
}

// wait begins the wait, if it has not begun.
func (a *admission) wait() {
	if a.waiting.IsZero() {
		a.waiting = time.Now()
	}
}

// restart begins the wait anew, because the task has got something to do.
func (a *admission) restart() {
	if !a.waiting.IsZero() {
		a.waiting = time.Now()
	}
}

// place is the task's place in the line for the threads.
func (a *admission) place(t *Threads) *threadsPlace {
	for _, p := range a.places {
		if p.threads == t {
			return p
		}
	}
	p := &threadsPlace{threads: t, woken: a.woken}
	a.places = append(a.places, p)
	return p
}

// begin begins a pass over the steps of the task. A suspect that has waited too long lets
// others go on, also those of its own task, however long one of them runs.
func (a *admission) begin() {
	a.refused, a.alone, a.others, a.paused = a.refused[:0], false, false, false
	if !a.aloneSince.IsZero() && time.Until(a.aloneUntil()) <= 0 {
		a.aloneSince = time.Time{}
		a.engine.company.inVain(a.aloneStep)
	}
}

// end ends a pass. What the task has been granted and did not need goes to others.
func (a *admission) end() {
	if a.waiting.IsZero() {
		return
	}
	for _, p := range a.places {
		if !slices.Contains(a.refused, p.threads) {
			p.threads.giveUp(p)
		}
	}
	if !a.alone {
		a.aloneSince = time.Time{}
		a.engine.company.leaveLine(a.woken)
	}
	if !a.alone && !a.others {
		a.engine.company.giveUp(a.woken)
	}
	if !a.waits() {
		a.waiting = time.Time{}
	}
}

// waits reports whether a step was refused in the last pass.
func (a *admission) waits() bool { return a.alone || a.others || a.paused || len(a.refused) > 0 }

// leave gives up all places.
func (a *admission) leave() {
	a.begin()
	a.end()
}

// aloneUntil is how long a suspect waits for the end of all other steps.
func (a *admission) aloneUntil() time.Time {
	return a.aloneSince.Add(a.engine.company.patienceOf(a.aloneStep))
}

// patience is how long the wait may go on before the task looks again, if that is limited.
// idle says that a worker runs nothing of the task, and so may give it back.
func (a *admission) patience(idle bool) (patience time.Duration, limited bool) {
	switch {
	case a.alone:
		return time.Until(a.aloneUntil()), true
	case idle && (a.others || len(a.refused) > 0):
		return time.Until(a.waiting.Add(threadPatience)), true
	case idle && a.paused:
		return 0, true
	case a.paused:
		return time.Until(a.aloneAgain), true
	}
	return 0, false
}

// leaveAdmission undoes the admission of a step whose attempt does not begin.
func (e *Engine) leaveAdmission(s *stepRun) {
	if s.threads != nil {
		s.threads.leave()
	}
	e.company.leave()
}

// admitSuccessor admits a step whose claim travels with the success of another one. first
// says that it is the first one.
func (e *Engine) admitSuccessor(s, next *stepRun, first bool) bool {
	if next.suspect() || !e.company.enterSuccessor() {
		return false
	}
	if next.threads == nil || next.threads.admitSuccessor(first && next.threads == s.threads) {
		return true
	}
	e.company.leave()
	return false
}

// isIdle reports whether a worker runs nothing of the task.
func (l *taskLoop) isIdle() bool { return l.stopping != nil && l.task.agenda.running == 0 }

// gaveUp reports whether a worker has waited long enough for a thread, or for a try to run
// a suspect. Another worker may have a free one.
func (l *taskLoop) gaveUp() bool {
	if l.task.agenda.running > 0 {
		l.admission.restart()
		return false
	}
	if !l.isIdle() || l.admission.alone {
		return false
	}
	patience, limited := l.admission.patience(true)
	return limited && patience <= 0
}

// postponed is the outcome of a task that waited for a thread in vain.
func (l *taskLoop) postponed() Outcome {
	out := Outcome{State: l.task.state, Next: l.engine.now()}
	if l.admission.paused {
		l.engine.cfg.Logger.Warn("a step that must run alone waits for the end of the others; trying again later", "task", l.task.id)
		out.Next = out.Next.Add(l.engine.company.pause)
	}
	return out
}

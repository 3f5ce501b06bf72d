package orchestration

import "time"

// verdict is the decision about a task as a whole.
type verdict struct {
	state TaskState // TaskInProgress while a step can run, now or later
	next  time.Time // when to look again; zero means at once, or never
}

// stepView is the part of a step that decisions need.
type stepView struct {
	state    StepState
	parents  []int // indexes of its parents
	dueAt    time.Time
	attempts int // begun since the operator's last retry
	losses   int // of these, the ones that do not count
	limit    int
	retries  bool
}

// counted is the number of attempts that count towards the limit.
func (s *stepView) counted() int { return s.attempts - s.losses }

// viable reports whether step i can run now: it is startable and its wait is over.
func viable(steps []stepView, i int, now time.Time) bool {
	s := steps[i]
	return startable(steps, i) && !s.dueAt.After(now)
}

// startable reports whether step i can run once its wait is over: it may begin, and its
// parents are done.
func startable(steps []stepView, i int) bool {
	if !steps[i].mayBegin() {
		return false
	}
	for _, p := range steps[i].parents {
		if !steps[p].state.Done() {
			return false
		}
	}
	return true
}

// mayBegin reports whether the step's state allows an attempt, and it has one left. The
// first attempt is always allowed.
func (s *stepView) mayBegin() bool {
	if s.state != StepPending && s.state != StepWaitingForRetry {
		return false
	}
	return s.counted() <= 0 || s.retries && s.counted() < s.limit
}

// finalize is the decision table of docs/engine.md. The first row that holds decides:
//
//	a step runs, or can run now         in_progress, continue
//	a step waits for its next attempt   in_progress, look again when it is due
//	every step is done                  complete
//	a step is in error                  error
//	a step is cancelled                 cancelled
//	otherwise                           error: the other steps can never run
func finalize(steps []stepView, now time.Time) verdict {
	done, failed, cancelled := 0, false, false
	var next time.Time
	for i, s := range steps {
		switch {
		case s.state == StepInProgress || viable(steps, i, now):
			return verdict{state: TaskInProgress}
		case startable(steps, i):
			if next.IsZero() || s.dueAt.Before(next) {
				next = s.dueAt
			}
		case s.state.Done():
			done++
		case s.state == StepInError:
			failed = true
		case s.state == StepCancelled:
			cancelled = true
		}
	}
	switch {
	case !next.IsZero():
		return verdict{state: TaskInProgress, next: next}
	case done == len(steps):
		return verdict{state: TaskComplete}
	case failed:
		return verdict{state: TaskInError}
	case cancelled:
		return verdict{state: TaskCancelled}
	default:
		return verdict{state: TaskInError}
	}
}

package orchestration

import (
	"strconv"
	"sync"
)

// anyTask is the number to watch for "there is something to do".
const anyTask = 0

// watchers tells the goroutines that run a task when another party changes it. It
// also knows which steps this engine runs.
type watchers struct {
	mu     sync.Mutex
	byTask map[int64]map[chan struct{}]struct{}
	// attempts counts the attempts that this engine runs or is about to claim. Run and
	// Work may run the same task at the same time.
	attempts map[runningAttempt]int
}

// runningAttempt is a step that this engine runs, and the number under which it has
// claimed the step.
type runningAttempt struct{ step, claimant int64 }

func newWatchers() *watchers {
	return &watchers{byTask: map[int64]map[chan struct{}]struct{}{}, attempts: map[runningAttempt]int{}}
}

// watch returns a channel that receives a value when the task has changed since the
// last receive, and a function that ends the watch.
func (w *watchers) watch(taskID int64) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byTask[taskID] == nil {
		w.byTask[taskID] = map[chan struct{}]struct{}{}
	}
	w.byTask[taskID][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byTask[taskID], c)
		if len(w.byTask[taskID]) == 0 {
			delete(w.byTask, taskID)
		}
	}
}

func (w *watchers) wake(taskID int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.byTask[taskID] {
		signal(c)
	}
}

// wakeAll is for the time after a lost connection, when notifications may be
// missing.
func (w *watchers) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, channels := range w.byTask {
		for c := range channels {
			signal(c)
		}
	}
}

// notified handles a notification that the session received.
func (w *watchers) notified(channel, payload string) {
	if channel == channelWake {
		w.wake(anyTask)
		return
	}
	if id, err := strconv.ParseInt(payload, 10, 64); err == nil {
		w.wake(id)
	}
}

// beginAttempt and endAttempt enclose a step's attempt: from before the claim until
// the outcome is recorded.
func (w *watchers) beginAttempt(step, claimant int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempts[runningAttempt{step, claimant}]++
}

func (w *watchers) endAttempt(step, claimant int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := runningAttempt{step, claimant}
	if w.attempts[a]--; w.attempts[a] <= 0 {
		delete(w.attempts, a)
	}
}

// runs reports whether this engine runs the step under that number, or is about to
// claim it.
func (w *watchers) runs(step, claimant int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempts[runningAttempt{step, claimant}] > 0
}

// signal sends without waiting. One value in the channel is enough.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

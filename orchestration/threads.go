package orchestration

import (
	"slices"
	"sync"
	"time"
)

// Threaded is a [HandlerResolver] whose handlers run on [Threads].
type Threaded interface {
	// ThreadsOf returns the threads that handlers of the class run on. It returns nil if
	// any number of them may run at once.
	ThreadsOf(class string) *Threads
}

// Threads are what handlers run on, when only so many can run at once: the Ruby threads
// of a host, for example. A step is claimed only when a thread is free for it, or is about
// to be. So its time does not run while it waits, and another engine can claim it.
type Threads struct {
	n      int
	queued int // how many more handlers may be begun, for their code to wait for a thread

	aheadTime, veryQuick time.Duration // the constants, but for tests

	mu       sync.Mutex
	running  int             // handlers on a thread, or in its queue
	starting []chan struct{} // claimed steps that wait for a thread, the first first
	admitted int             // steps that are claimed, or are about to be
	line     []*threadsPlace // tasks with a step to claim, the first first
	average  time.Duration   // how long a handler has run of late
	freed    time.Time       // when a thread was last given back
	roomFor  []chan struct{} // of the workers that wait for room for a task
}

// NewThreads returns n threads.
func NewThreads(n int) *Threads { return NewQueuedThreads(n, 0) }

// NewQueuedThreads returns n threads with a queue of their own. While handlers are very
// quick, up to queued more of them are begun, so that no thread waits for the engine.
// Such a handler has a [StepExecution.Withdraw]. Its time runs while it waits, so steps with
// a time limit of less than a minute get a thread.
func NewQueuedThreads(n, queued int) *Threads {
	return &Threads{n: max(n, 1), queued: max(queued, 0), aheadTime: aheadTime, veryQuick: veryQuick}
}

// Count returns how many threads there are.
func (t *Threads) Count() int { return t.n }

// Busy returns how many of them run a handler.
func (t *Threads) Busy() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(t.running, t.n)
}

// aheadTime is how far ahead steps are claimed and tasks are leased, so that the threads
// need not wait for the database. It is a few round trips and commits.
const aheadTime = 20 * time.Millisecond

// maxAhead bounds how many steps may be claimed ahead.
const maxAhead = 1000

// ahead is how many more steps than threads may be claimed: as many as the threads will
// run within aheadTime. With handlers that take longer, there are none.
func (t *Threads) ahead() int {
	expected := t.expected()
	if expected <= 0 {
		return 0
	}
	return int(min(maxAhead, time.Duration(t.n)*t.aheadTime/expected))
}

// expected is how long a handler is expected to run; 0 if that is not known.
func (t *Threads) expected() time.Duration {
	if t.running >= t.n { // a thread that has not come back is no quick one
		return max(t.average, time.Since(t.freed))
	}
	return t.average
}

// veryQuick is how long handlers take at most, with their wait, when they may wait in the
// threads' own queue.
const veryQuick = 5 * time.Millisecond

// threadsPlace is a task's place in the line for admission.
type threadsPlace struct {
	threads *Threads
	queued  bool
	granted int           // admissions that the task has got while it waited
	woken   chan struct{} // receives a value when it has got one
}

// admit admits a step: it may be claimed. If there is no room, the task waits in line, and
// is woken.
func (t *Threads) admit(p *threadsPlace) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.granted > 0 {
		p.granted--
		return true
	}
	if !p.queued && len(t.line) == 0 && t.admitted < t.n+t.ahead() {
		t.admitted++
		return true
	}
	if !p.queued {
		p.queued = true
		t.line = append(t.line, p)
		t.admitNext()
	}
	return false
}

// admitSuccessor admits a step whose claim travels with a success. The step that has
// succeeded leaves its own admission to the first such step.
func (t *Threads) admitSuccessor(first bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !first && (len(t.line) > 0 || t.admitted >= t.n+t.ahead()) {
		return false
	}
	t.admitted++
	return true
}

// leave ends an admission.
func (t *Threads) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.admitted--
	t.admitNext()
}

// giveUp takes a task out of the line. What it was granted goes to others.
func (t *Threads) giveUp(p *threadsPlace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.admitted -= p.granted
	p.granted = 0
	if p.queued {
		p.queued = false
		t.line = slices.DeleteFunc(t.line, func(q *threadsPlace) bool { return q == p })
	}
	t.admitNext()
}

// admitNext admits steps of the tasks in line while there is room, and then says whether
// there is room for other tasks.
func (t *Threads) admitNext() {
	capacity := t.n + t.ahead()
	for len(t.line) > 0 && t.admitted < capacity {
		p := t.line[0]
		t.line = slices.Delete(t.line, 0, 1)
		t.admitted++
		p.queued = false
		p.granted++
		signal(p.woken)
	}
	if capacity > t.admitted+len(t.line) {
		for _, w := range t.roomFor {
			signal(w)
		}
		t.roomFor = t.roomFor[:0]
	}
}

// room is how many more steps would find room. It is negative if tasks wait. If there is no
// room, tell receives a value once there is.
func (t *Threads) room(tell chan struct{}) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	room := t.n + t.ahead() - t.admitted - len(t.line)
	if room <= 0 {
		t.roomFor = addOnce(t.roomFor, tell)
	}
	return room
}

// idle reports whether a thread has nothing to do, and handlers take so long that this
// matters more than the price of a statement.
func (t *Threads) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running < t.n && t.average > t.aheadTime/4
}

// take takes a thread for a step that was admitted. If none is free, the step waits in
// line, and receives from the channel when it has one. give ends either. A step without a
// short time limit may also get a place in the threads' own queue.
func (t *Threads) take(limited bool) (granted <-chan struct{}, queued bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running < t.n {
		t.running++
		return nil, false
	}
	if !limited && len(t.starting) == 0 && t.running < t.n+t.queued && t.average > 0 && t.expected() < t.veryQuick {
		t.running++
		return nil, true
	}
	c := make(chan struct{}, 1)
	t.starting = append(t.starting, c)
	return c, false
}

// withdraw takes a step out of the line for a thread. It reports false if the step has got
// one at this very moment.
func (t *Threads) withdraw(c <-chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.starting)
	t.starting = slices.DeleteFunc(t.starting, func(s chan struct{}) bool { return s == c })
	return len(t.starting) < n
}

// give gives a thread back after the handler has run for so long. A negative time says that
// it has not begun: then it was no thread, but a place in the queue.
func (t *Threads) give(ran time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ran >= 0 {
		if t.average == 0 {
			t.average = max(ran, 1)
		} else {
			t.average += (ran - t.average) / averageOf
		}
		t.freed = time.Now()
	}
	t.running--
	if len(t.starting) > 0 && t.running < t.n { // otherwise one from the queue has it now
		t.starting[0] <- struct{}{}
		t.starting = slices.Delete(t.starting, 0, 1)
		t.running++
	}
}

// averageOf is over how many handlers their time is averaged.
const averageOf = 16

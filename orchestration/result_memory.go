package orchestration

import (
	"slices"
	"sync"

	"github.com/tasker-rb/tasker-rb/templates"
)

// resultMemory counts the bytes of large results in memory. Before a task loop claims a
// step, it takes room for what the step is expected to need, and waits if there is none.
// Nobody who has room waits for more of it, so all room is given back in the end.
type resultMemory struct {
	limit int

	mu       sync.Mutex
	held     int // of steps that are claimed: what they are expected to need, or have read
	returned int // of handlers that have returned: not in the database yet
	waiting  []*roomWait
	sizes    map[*templates.Step]int // what the step returned last, if that was large
}

func newResultMemory(limit int) *resultMemory {
	return &resultMemory{limit: limit, sizes: map[*templates.Step]int{}}
}

// roomWait is the place of a task loop among those that wait for room. Whoever needs room
// gets it in order, so that a step that needs much is not passed by forever. Steps that
// need none only wait for commits.
type roomWait struct {
	waits bool // only its loop changes that
	bytes int
	freed chan struct{} // closed when it may try again; nil if that has happened
}

// take takes room for a step, or returns a channel that is closed when the loop may try
// again. A step alone always gets room.
func (m *resultMemory) take(w *roomWait, bytes int) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fits(bytes) && (bytes == 0 || m.isNext(w)) {
		m.held += bytes
		m.remove(w)
		return nil
	}
	if w.freed == nil {
		w.freed = make(chan struct{})
	}
	w.bytes = bytes
	if !w.waits {
		w.waits = true
		m.waiting = append(m.waiting, w)
	}
	return w.freed
}

func (m *resultMemory) fits(bytes int) bool {
	if bytes == 0 {
		return m.returned <= m.limit
	}
	return m.held+m.returned == 0 || m.held+m.returned+bytes <= m.limit
}

// isNext reports whether nobody else comes first who waits for room.
func (m *resultMemory) isNext(w *roomWait) bool {
	for _, other := range m.waiting {
		if other == w || other.bytes > 0 {
			return other == w
		}
	}
	return true
}

// takeNow takes room only if nobody waits for some.
func (m *resultMemory) takeNow(bytes int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.fits(bytes) || bytes > 0 && !m.isNext(nil) {
		return false
	}
	m.held += bytes
	return true
}

// leave gives the place up.
func (m *resultMemory) leave(w *roomWait) {
	if !w.waits {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(w)
}

func (m *resultMemory) remove(w *roomWait) {
	if !w.waits {
		return
	}
	i := slices.Index(m.waiting, w)
	m.waiting = slices.Delete(m.waiting, i, i+1)
	w.waits, w.freed = false, nil
	m.wake()
}

// wake lets those try again for whom there is room.
func (m *resultMemory) wake() {
	first := true // of those who need room
	for _, w := range m.waiting {
		if m.fits(w.bytes) && (w.bytes == 0 || first) && w.freed != nil {
			close(w.freed)
			w.freed = nil
		}
		first = first && w.bytes == 0
	}
}

// hold counts more bytes, or fewer, for a step that has been claimed.
func (m *resultMemory) hold(bytes int) {
	if bytes == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += bytes
	m.wake()
}

// handOver takes note that the step's handler has returned results, and holds no others.
// If it failed, there are none.
func (m *resultMemory) handOver(step *templates.Step, held, results int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held -= held
	m.returned += results
	switch {
	case results > smallResult:
		m.sizes[step] = results
	case results > 0 && len(m.sizes) > 0:
		delete(m.sizes, step)
	}
	m.wake()
}

// committed takes note that results are in the database, or dropped.
func (m *resultMemory) committed(results int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.returned -= results
	m.wake()
}

// expected is how much the step is expected to return.
func (m *resultMemory) expected(step *templates.Step) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sizes[step]
}

// forget forgets the steps of templates that are read anew.
func (m *resultMemory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.sizes)
}

// takeRoom takes room for the steps that the loop wants to claim, and returns those that
// got some. If others must wait, it sets l.full.
func (l *taskLoop) takeRoom(wanted []*stepRun) []*stepRun {
	got := wanted
	for i, s := range wanted {
		bytes := l.need(s)
		switch {
		case l.full == nil:
			if l.full = l.engine.memory.take(&l.room, bytes); l.full != nil {
				got = slices.Clone(wanted[:i])
				continue
			}
		case bytes > 0 || !l.engine.memory.takeNow(0): // the loop has its place already
			continue
		default:
			got = append(got, s)
		}
		s.room = bytes
	}
	return got
}

// takeRoomNow takes room for a step whose claim is to travel with a success.
func (l *taskLoop) takeRoomNow(s *stepRun) bool {
	bytes := l.need(s)
	if !l.engine.memory.takeNow(bytes) {
		return false
	}
	s.room = bytes
	return true
}

// need is what the step is expected to need: the large results of its parents, and as much
// as it returned the last time, in whatever task.
func (l *taskLoop) need(s *stepRun) int {
	bytes := l.engine.memory.expected(s.template)
	for _, p := range s.parents {
		parent := l.task.steps[p]
		bytes += max(parent.results.large(), result{bytes: parent.returned}.large())
	}
	return bytes
}

// giveRoomBack must follow a claim that was not made, or that is undone before its
// attempt.
func (l *taskLoop) giveRoomBack(s *stepRun) {
	l.engine.memory.hold(-s.room)
	s.room = 0
}

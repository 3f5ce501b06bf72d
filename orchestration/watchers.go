package orchestration

import (
	"strconv"
	"sync"
)

// anyTask is watched by those who wait for something to do.
const anyTask = 0

// hub tells those who run a task that someone else has changed it.
type hub struct {
	mu       sync.Mutex
	watchers map[int64]map[chan struct{}]struct{}
	// running counts, by the step's number, who of this engine runs it or is
	// about to claim it: Run and Work may have the same task in hand.
	running map[int64]int
}

func newHub() *hub {
	return &hub{watchers: map[int64]map[chan struct{}]struct{}{}, running: map[int64]int{}}
}

// watch returns a channel that has something to receive once the task was
// changed since the last receive, and a function that ends the watch.
func (h *hub) watch(taskID int64) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[taskID] == nil {
		h.watchers[taskID] = map[chan struct{}]struct{}{}
	}
	h.watchers[taskID][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[taskID], c)
		if len(h.watchers[taskID]) == 0 {
			delete(h.watchers, taskID)
		}
	}
}

func (h *hub) nudge(taskID int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.watchers[taskID] {
		signal(c)
	}
}

// nudgeAll is for when notifications may have been missed.
func (h *hub) nudgeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, watchers := range h.watchers {
		for c := range watchers {
			signal(c)
		}
	}
}

// heard takes a notification of the session.
func (h *hub) heard(channel, payload string) {
	if channel == channelWake {
		h.nudge(anyTask)
		return
	}
	if id, err := strconv.ParseInt(payload, 10, 64); err == nil {
		h.nudge(id)
	}
}

// begin and end bracket the attempt of a step, from before its claim until
// its outcome is recorded.
func (h *hub) begin(stepID int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[stepID]++
}

func (h *hub) end(stepID int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[stepID]--; h.running[stepID] <= 0 {
		delete(h.running, stepID)
	}
}

func (h *hub) runs(stepID int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running[stepID] > 0
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

package rubyhost

import "time"

// LockHolder returns where the code is that holds Ruby's lock.
func LockHolder() []string { return lockHolder() }

// WaitForPlaces makes abandoned calls wait for so long to hear where their code is.
func WaitForPlaces(wait time.Duration) { placeWait = wait }

// CallersInLine counts the callers that wait because the queue is full.
func (h *Host) CallersInLine() int { return int(h.calls.waiting.Load()) }

// TakeMessages takes and delivers messages, as the drain goroutine and those that
// stand in for it do.
func (h *Host) TakeMessages() {
	if !h.outbox.deliverIfFree(h) {
		h.outbox.deliverWaiting(h)
	}
}

// CallsAway counts the calls that are not in the pool: those under way, and those that
// their callers left. It is exact while no call begins or ends.
func (h *Host) CallsAway() int {
	free := 0
	for number := uint32(h.calls.top.Load()); number != 0 && free < len(h.calls.calls); number = h.calls.below[number-1].Load() {
		free++
	}
	return len(h.calls.calls) - free
}

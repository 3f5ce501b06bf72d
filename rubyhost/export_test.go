package rubyhost

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

package rubyhost

// TakeMessages takes and delivers messages, as the drain goroutine and those that
// stand in for it do.
func (h *Host) TakeMessages() {
	if !h.outbox.deliverIfFree(h) {
		h.outbox.deliverWaiting(h)
	}
}

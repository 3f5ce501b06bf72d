package rubyhost

import "sync/atomic"

// freeSlots are the slots that no call has: a stack, so that the slots in use,
// and their memory, are as few as there are calls at once.
type freeSlots struct {
	top     atomic.Uint64   // changes so far << 32 | number of the top slot + 1, or 0
	below   []atomic.Uint32 // of each slot: number of the one beneath + 1, or 0
	waiting atomic.Int32
	handed  chan uint32 // slots for those who wait; never full
}

// newFreeSlots has n slots, all of them free.
func newFreeSlots(n int) *freeSlots {
	f := &freeSlots{below: make([]atomic.Uint32, n), handed: make(chan uint32, n)}
	for i := range n {
		f.push(uint32(n - 1 - i))
	}
	return f
}

func (f *freeSlots) push(slot uint32) {
	for {
		top := f.top.Load()
		f.below[slot].Store(uint32(top))
		if f.top.CompareAndSwap(top, (top>>32+1)<<32|uint64(slot+1)) {
			return
		}
	}
}

// take returns a free slot, or false.
func (f *freeSlots) take() (uint32, bool) {
	for {
		top := f.top.Load()
		number := uint32(top)
		if number == 0 {
			return 0, false
		}
		// If somebody took the slot and put it back in between, top has
		// changed and the swap fails.
		if f.top.CompareAndSwap(top, (top>>32+1)<<32|uint64(f.below[number-1].Load())) {
			return number - 1, true
		}
	}
}

// put gives a slot back: to one who waits, if there is one.
func (f *freeSlots) put(slot uint32) {
	f.push(slot)
	if f.waiting.Load() > 0 {
		f.hand()
	}
}

// wait returns the channel on which a slot will come; done must be called when
// it is no longer read from. A slot that came too late for one waits there for
// the next.
func (f *freeSlots) wait() (slots <-chan uint32, done func()) {
	f.waiting.Add(1)
	f.hand() // one that was put before we were counted
	return f.handed, func() { f.waiting.Add(-1) }
}

func (f *freeSlots) hand() {
	if slot, ok := f.take(); ok {
		f.handed <- slot
	}
}

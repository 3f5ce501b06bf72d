package rubyhost

import "sync/atomic"

// callPool holds the records of all calls that can be under way at once. The
// free ones are a stack, so that few records, and little memory, are in use.
type callPool struct {
	calls []call

	top     atomic.Uint64   // changes so far << 32 | number of the top call + 1, or 0
	below   []atomic.Uint32 // for each call: number of the next one down + 1, or 0
	waiting atomic.Int32    // goroutines that read from handed
	handed  chan *call      // calls for the waiting; never full
}

// newCallPool returns a pool of n calls, all of them free.
func newCallPool(n int) *callPool {
	p := &callPool{calls: make([]call, n), below: make([]atomic.Uint32, n), handed: make(chan *call, n)}
	for i := n - 1; i >= 0; i-- {
		c := p.at(uint32(i))
		c.number = uint32(i)
		c.done = make(chan struct{}, 1)
		p.push(c)
	}
	return p
}

// The low bits of a call's serial are its number in the pool.
const numberBits = 16

// of returns the call that has or had that serial. It returns nil for a serial
// that no call can have.
func (p *callPool) of(serial uint64) *call {
	number := serial & (1<<numberBits - 1)
	if number >= uint64(len(p.calls)) {
		return nil
	}
	return p.at(uint32(number))
}

// at returns the call with that number.
func (p *callPool) at(number uint32) *call { return &p.calls[number] }

func (p *callPool) push(c *call) {
	for {
		top := p.top.Load()
		p.below[c.number].Store(uint32(top))
		if p.top.CompareAndSwap(top, (top>>32+1)<<32|uint64(c.number+1)) {
			return
		}
	}
}

// take returns a free call, or nil.
func (p *callPool) take() *call {
	for {
		top := p.top.Load()
		number := uint32(top)
		if number == 0 {
			return nil
		}
		// If another goroutine took the call and put it back in between, top
		// has changed and the swap fails.
		if p.top.CompareAndSwap(top, (top>>32+1)<<32|uint64(p.below[number-1].Load())) {
			return p.at(number - 1)
		}
	}
}

// put gives a call back. A goroutine that waits gets one.
func (p *callPool) put(c *call) {
	p.push(c)
	if p.waiting.Load() > 0 {
		p.hand()
	}
}

// wait returns the channel on which a call will come. The reader calls done
// when it stops reading. A call that comes too late for one reader stays in the
// channel for the next.
func (p *callPool) wait() (calls <-chan *call, done func()) {
	p.waiting.Add(1)
	p.hand() // a call that was put back before we were counted
	return p.handed, func() { p.waiting.Add(-1) }
}

func (p *callPool) hand() {
	if c := p.take(); c != nil {
		p.handed <- c
	}
}

package rubyhost

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
)

// The callables that host.rb registers before any handler, in its order.
const (
	opLoad uint32 = iota
	opRequire
	opLoadDir
	opEval
	opResolve
	opStats
	opMethod
	opServe
	opConfigure
)

// Who gets a finished job; call.owner.
const (
	ownerCaller = iota // a caller is waiting for it
	ownerDone          // it was handed to the caller
	ownerNobody        // the caller has left: drop it when it comes
)

// call is a slot: one call under way.
type call struct {
	job   *job          // of the last call, perhaps nil, while no call is under way
	done  chan struct{} // buffered: the drain goroutine never waits
	owner atomic.Uint32
	id    uint64

	mu  sync.Mutex // for who asks with the serial of a call that may be over
	ctx context.Context
	of  uint64 // the serial that ctx belongs to
}

func (c *call) setContext(ctx context.Context, serial uint64) {
	c.mu.Lock()
	c.ctx, c.of = ctx, serial
	c.mu.Unlock()
}

func (c *call) clearContext() {
	c.mu.Lock()
	c.ctx, c.of = nil, 0
	c.mu.Unlock()
}

// context returns the context of the call with that serial; nil when it is over.
func (c *call) context(serial uint64) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of != serial {
		return nil
	}
	return c.ctx
}

// The serial of a job has its slot in the low bits.
const slotBits = 16

// call runs one callable and returns its value as JSON.
func (h *Host) call(ctx context.Context, target uint32, segments ...[]byte) (json.RawMessage, error) {
	if !h.gate.TryRLock() {
		return nil, ErrClosed
	}
	defer h.gate.RUnlock()
	slot, err := h.acquire(ctx)
	if err != nil {
		return nil, err
	}
	c := &h.slots[slot]
	j := fillJob(c.job, target, segments)
	c.job = j
	if j == nil {
		h.free.put(slot)
		return nil, errors.New("rubyhost: out of memory")
	}
	c.id = h.serial.Add(1)<<slotBits | uint64(slot)
	c.setContext(ctx, c.id)
	c.owner.Store(ownerCaller)
	label(j, c.id, slot)
	alone := h.inFlight.Add(1) == 1
	var spin time.Duration
	if alone {
		if spin = h.worthSpinning(); spin > 0 {
			setSpinning(j)
		}
	}
	submit(j)
	if spin > 0 && h.spin(j, spin) {
		h.awaitNotes() // a job that comes through the outbox comes after its notes
	} else if err := h.await(ctx, c); err != nil {
		h.inFlight.Add(-1)
		return nil, err // the slot is freed when the job comes back
	}
	h.inFlight.Add(-1)
	value, err := h.outcome(j)
	h.release(slot)
	return value, err
}

// acquire waits for a free slot: this is the queue's bound.
func (h *Host) acquire(ctx context.Context) (uint32, error) {
	select {
	case <-h.closing:
		return 0, ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return 0, errors.Wrap(context.Cause(ctx), "rubyhost: the call was not begun")
	}
	if slot, ok := h.free.take(); ok {
		return slot, nil
	}
	slots, done := h.free.wait()
	defer done()
	select {
	case slot := <-slots:
		return slot, nil
	case <-ctx.Done():
		return 0, errors.WithHint(errors.Wrap(context.Cause(ctx), "rubyhost: the queue is full"),
			"More calls than Options.QueueSize were under way.")
	case <-h.closing:
		return 0, ErrClosed
	}
}

// release frees the slot of a job that is Go's.
func (h *Host) release(slot uint32) {
	c := &h.slots[slot]
	c.job = spareJob(c.job)
	c.clearContext()
	h.free.put(slot)
}

// worthSpinning is for how long to poll: that pays while calls end within the
// time. After a few that did not, only one in 64 tries again, and longer, for
// the Ruby thread has gone to sleep by then and takes time to be woken.
func (h *Host) worthSpinning() time.Duration {
	switch {
	case h.opts.Spin <= 0:
		return 0
	case h.spinMisses.Load() < maxSpinMisses:
		return h.opts.Spin
	case h.spinMisses.Add(1)%64 == 0:
		return 3 * h.opts.Spin
	default:
		return 0
	}
}

const maxSpinMisses = 4

// spin polls the job for so long. False means that it has been left to the
// outbox.
func (h *Host) spin(j *job, long time.Duration) bool {
	if poll(long, func() bool { return isDone(j) }) {
		if long > h.opts.Spin {
			h.spinMisses.Store(maxSpinMisses - 1) // the next call will show
		} else {
			h.spinMisses.Store(0)
		}
		return true
	}
	if h.spinMisses.Load() < maxSpinMisses {
		h.spinMisses.Add(1)
	}
	return !park(j)
}

// await waits for the job to end, or for its context and what follows from
// that. An error means that the job is not the caller's any more.
func (h *Host) await(ctx context.Context, c *call) error {
	if ctx.Done() == nil {
		<-c.done
		return nil
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return h.interrupt(ctx, c)
	}
}

// jobDone is called by the drain goroutine.
func (h *Host) jobDone(slot uint32) {
	c := &h.slots[slot]
	if c.owner.CompareAndSwap(ownerCaller, ownerDone) {
		c.done <- struct{}{}
		return
	}
	h.late.Add(1)
	h.release(slot)
}

// outcome turns what the job left into a value or an error.
func (h *Host) outcome(j *job) (json.RawMessage, error) {
	switch j.status {
	case jobOK:
		return resultOf(j), nil
	case jobRaised:
		return nil, decodeError(resultOf(j))
	case jobKilled:
		return nil, errors.WithStack(ErrThreadKilled)
	case jobJumped:
		return nil, errors.WithStack(ErrJumped)
	case jobSkipped:
		return nil, errors.WithStack(errNotBegun)
	default:
		return nil, errors.New("rubyhost: out of memory")
	}
}

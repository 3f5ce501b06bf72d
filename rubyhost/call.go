package rubyhost

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
)

// The callables that host.rb registers before any handler. The order is the same there.
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
	opMemory
)

// The states of call.caller: whether a caller waits for the job.
const (
	callerWaits  = iota
	callerServed // jobDone has told the caller
	callerLeft   // the caller has left; jobDone drops the result
)

// call is Go's record of one call of Ruby. A call pool reuses it for others. It
// fills one cache line, so two calls of a pool never share one.
type call struct {
	serial uint64        // of the call under way; never reused
	job    *job          // between calls, the last job or nil
	done   chan struct{} // buffered: the drain goroutine never waits
	number uint32        // in the call pool
	caller atomic.Uint32

	mu        sync.Mutex // Ruby may name a serial whose call is over
	ctx       context.Context
	ctxSerial uint64 // the serial that ctx belongs to
}

func (c *call) setContext(ctx context.Context, serial uint64) {
	c.mu.Lock()
	c.ctx, c.ctxSerial = ctx, serial
	c.mu.Unlock()
}

func (c *call) clearContext() {
	c.mu.Lock()
	c.ctx, c.ctxSerial = nil, 0
	c.mu.Unlock()
}

// context returns the context of the call with that serial, or nil when that
// call is over.
func (c *call) context(serial uint64) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctxSerial != serial {
		return nil
	}
	return c.ctx
}

// call runs a callable that is no step, and returns its value as JSON.
func (h *Host) call(ctx context.Context, target uint32, segments ...[]byte) (json.RawMessage, error) {
	return h.perform(ctx, target, false, nil, segments)
}

// perform runs one callable and returns its value as JSON. With endThreads the
// threads that its own code starts end with it. When withdraw is closed, it is taken back
// unless it has begun. Every call of Ruby begins here.
func (h *Host) perform(ctx context.Context, target uint32, endThreads bool, withdraw <-chan struct{}, segments [][]byte) (json.RawMessage, error) {
	if !h.gate.TryRLock() {
		return nil, ErrClosed
	}
	defer h.gate.RUnlock()
	c, err := h.acquire(ctx)
	if err != nil {
		return nil, err
	}
	j := fillJob(c.job, target, segments)
	c.job = j
	if j == nil {
		h.calls.put(c)
		return nil, errors.New("rubyhost: out of memory")
	}
	c.serial = h.lastSerial.Add(1)<<numberBits | uint64(c.number)
	c.setContext(ctx, c.serial)
	c.caller.Store(callerWaits)
	label(j, c.serial, c.number, endThreads)
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
	} else if err := h.await(ctx, c, withdraw); err != nil {
		h.inFlight.Add(-1)
		return nil, err // jobDone returns the call to the pool later
	}
	h.inFlight.Add(-1)
	h.children.Load().logWaiting(h.awaitNotes)
	value, err := h.outcome(j)
	h.release(c)
	return value, h.byItsContext(ctx, err)
}

// acquire takes a call from the pool, and waits while there is none. The size
// of the pool is the bound of the queue.
func (h *Host) acquire(ctx context.Context) (*call, error) {
	select {
	case <-h.closing:
		return nil, ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Wrap(context.Cause(ctx), "rubyhost: the call was not begun")
	}
	if c := h.calls.take(); c != nil {
		return c, nil
	}
	calls, done := h.calls.wait()
	defer done()
	select {
	case c := <-calls:
		return c, nil
	case <-ctx.Done():
		return nil, errors.WithHint(errors.Wrap(context.Cause(ctx), "rubyhost: the queue is full"),
			"More calls than Options.QueueSize were under way.")
	case <-h.closing:
		return nil, ErrClosed
	}
}

// release returns a call to the pool. Its job must be Go's.
func (h *Host) release(c *call) {
	c.job = spareJob(c.job)
	c.clearContext()
	h.calls.put(c)
}

// worthSpinning returns how long the caller should poll. Polling pays while
// calls end within Options.Spin. After a few calls that took longer, only one
// call in 64 polls, and for longer: by then the Ruby thread sleeps, and waking
// it takes time.
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

// spin polls the job for that long. It returns false when the job has not
// ended; from then on it comes through the outbox.
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

// await waits until the job or its context ends. When the context ends first,
// it interrupts the job. After an error the job is not the caller's any more.
func (h *Host) await(ctx context.Context, c *call, withdraw <-chan struct{}) error {
	if ctx.Done() == nil && withdraw == nil {
		<-c.done
		return nil
	}
	for {
		select {
		case <-c.done:
			return nil
		case <-ctx.Done():
			return h.interrupt(ctx, c)
		case <-withdraw:
			if !cancelJob(c.job) && c.caller.CompareAndSwap(callerWaits, callerLeft) {
				return errors.WithStack(ErrNotBegun)
			}
			withdraw = nil // it has begun, or will say that it was skipped
		}
	}
}

// jobDone tells the caller that its job has ended. The drain goroutine calls it.
func (h *Host) jobDone(number uint32) {
	c := h.calls.at(number)
	if c.caller.CompareAndSwap(callerWaits, callerServed) {
		c.done <- struct{}{}
		return
	}
	h.late.Add(1)
	h.release(c)
}

// outcome returns the value or the error of an ended job.
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
		return nil, errors.WithStack(ErrNotBegun)
	default:
		return nil, errors.New("rubyhost: out of memory")
	}
}

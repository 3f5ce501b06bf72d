package rubyhost

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/errors"
)

var (
	// ErrThreadKilled: the handler's Ruby thread was killed under it (as by
	// Thread.current.kill). The thread has been replaced.
	ErrThreadKilled = errors.WithHint(errors.New("rubyhost: the handler's thread was killed"),
		"A handler must return or raise; Thread.current.kill and Thread.exit end the thread that runs it.")

	// ErrJumped: a break, next or return left the handler for a place that is
	// not there any more.
	ErrJumped = errors.New("rubyhost: control jumped out of the handler")

	errNotBegun = errors.New("rubyhost: the call was cancelled before it began")
)

// InterruptedError says that a call's context ended before its Ruby code did.
// errors.Is finds the context's own error in it, such as
// [context.DeadlineExceeded].
type InterruptedError struct {
	Cause     error         // why the context ended
	After     time.Duration // from the end of the context until the thread gave way
	Backtrace []string      // where the Ruby code was; empty when it is not known
	Stuck     bool          // the thread did not give way and was written off
}

func (e *InterruptedError) Error() string {
	switch {
	case e.Stuck:
		return fmt.Sprintf("the handler did not stop within %v and its thread was given up: %v", e.After.Round(time.Millisecond), e.Cause)
	case len(e.Backtrace) > 0:
		return fmt.Sprintf("the handler was interrupted at %s: %v", e.Backtrace[0], e.Cause)
	default:
		return fmt.Sprintf("the handler was interrupted: %v", e.Cause)
	}
}

func (e *InterruptedError) Unwrap() error { return e.Cause }

// again is how often an interrupt is repeated, for code that rescues it.
const again = 100 * time.Millisecond

// interrupt ends a call whose context has ended: raise in its thread, again
// and again, then kill the thread, then give it up.
func (h *Host) interrupt(ctx context.Context, c *call) error {
	h.timeouts.Add(1)
	began := time.Now()
	cause := context.Cause(ctx)
	if !cancelJob(c.job) {
		// Still in the queue, and now certain not to begin.
		return h.leave(c, &InterruptedError{Cause: cause})
	}
	killAt, leaveAt := began.Add(h.opts.Grace/2), began.Add(h.opts.Grace)
	tick := time.NewTicker(again)
	defer tick.Stop()
	control(controlRaise, c.id)
	for {
		select {
		case <-c.done:
			return h.interrupted(c, cause, began)
		case now := <-tick.C:
			switch {
			case now.After(leaveAt):
				control(controlWriteOff, c.id)
				return h.leave(c, &InterruptedError{Cause: cause, After: time.Since(began), Stuck: true})
			case now.After(killAt):
				control(controlKill, c.id)
			default:
				control(controlRaise, c.id)
			}
		}
	}
}

// leave gives the job up, unless it has ended in this very moment.
func (h *Host) leave(c *call, err *InterruptedError) error {
	if c.owner.CompareAndSwap(ownerCaller, ownerNobody) {
		return err
	}
	<-c.done
	return h.interrupted(c, err.Cause, time.Now())
}

// interrupted is for a job that ended after its context: whatever it brought
// is dropped, but for where it was.
func (h *Host) interrupted(c *call, cause error, began time.Time) error {
	e := &InterruptedError{Cause: cause, After: time.Since(began)}
	_, err := h.outcome(c.job)
	var ruby *Error
	if errors.As(err, &ruby) {
		e.Backtrace = ruby.Backtrace
	}
	if err == nil {
		h.late.Add(1)
	}
	h.release(slotOf(c.id))
	return e
}

func slotOf(id uint64) uint32 { return uint32(id & (1<<slotBits - 1)) }

package rubyhost

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

var (
	// ErrThreadKilled says that the handler's Ruby thread was killed during the
	// call, for example by Thread.current.kill. The thread has been replaced.
	ErrThreadKilled = errors.WithHint(errors.New("rubyhost: the handler's thread was killed"),
		"A handler must return or raise; Thread.current.kill and Thread.exit end the thread that runs it.")

	// ErrJumped says that a break, next or return left the handler for a place
	// that has already returned.
	ErrJumped = errors.New("rubyhost: control jumped out of the handler")

	// ErrNotBegun says that the call was taken back before its Ruby code began.
	ErrNotBegun = errors.New("rubyhost: the call was taken back before it began")
)

// InterruptedError says that a call's context ended before its Ruby code did.
// errors.Is finds the context's own error in it, such as
// [context.DeadlineExceeded].
type InterruptedError struct {
	Cause     error         // why the context ended
	After     time.Duration // from the end of the context until the handler stopped
	Backtrace []string      // where the Ruby code was; empty when it is not known
	Stuck     bool          // the handler did not stop, and its thread was abandoned
	Holder    []string      // if Stuck and Ruby does not answer: where the code is that holds its lock
}

func (e *InterruptedError) Error() string {
	switch {
	case e.Stuck && len(e.Holder) > 0:
		return fmt.Sprintf("the handler did not stop within %v, and Ruby is held up at %s: %v", e.After.Round(time.Millisecond), e.Holder[0], e.Cause)
	case e.Stuck && len(e.Backtrace) > 0:
		return fmt.Sprintf("the handler did not stop within %v and its thread was abandoned at %s: %v", e.After.Round(time.Millisecond), e.Backtrace[0], e.Cause)
	case e.Stuck:
		return fmt.Sprintf("the handler did not stop within %v and its thread was abandoned: %v", e.After.Round(time.Millisecond), e.Cause)
	case len(e.Backtrace) > 0:
		return fmt.Sprintf("the handler was interrupted at %s: %v", e.Backtrace[0], e.Cause)
	default:
		return fmt.Sprintf("the handler was interrupted: %v", e.Cause)
	}
}

func (e *InterruptedError) Unwrap() error { return e.Cause }

// interruptEvery is how often an interrupt is repeated, for code that rescues it.
const interruptEvery = 100 * time.Millisecond

// interrupt ends a call whose context has ended. It raises in the call's thread
// again and again. After half the grace it kills the thread, and after the whole
// grace it abandons the thread. The grace is counted in ticks, of which a ticker drops
// those that nobody took: while the whole process stands still, as on a machine that has
// too much to do, the Ruby code cannot stop either.
func (h *Host) interrupt(ctx context.Context, c *call) error {
	h.timeouts.Add(1)
	began := time.Now()
	cause := context.Cause(ctx)
	if !cancelJob(c.job) {
		// The job is still in the queue, and will not begin.
		return h.leave(c, &InterruptedError{Cause: cause})
	}
	tick := time.NewTicker(interruptEvery)
	defer tick.Stop()
	control(controlRaise, c.serial)
	for spent := time.Duration(0); ; {
		select {
		case <-c.done:
			return h.interrupted(c, cause, began)
		case <-tick.C:
			spent += interruptEvery
			switch {
			case spent >= h.opts.Grace:
				e := &InterruptedError{Cause: cause, After: time.Since(began), Stuck: true}
				e.Backtrace, e.Holder = h.abandon(c)
				return h.leave(c, e)
			case spent >= h.opts.Grace/2:
				control(controlKill, c.serial)
			default:
				control(controlRaise, c.serial)
			}
		}
	}
}

// placeWait bounds how long an abandoned call waits to hear where its code is. Tests
// change it.
var placeWait = 200 * time.Millisecond

// abandon has the call's thread replaced. It returns where the thread is, or, if
// the main Ruby thread does not answer, where the code is that keeps it waiting.
func (h *Host) abandon(c *call) (place, holder []string) {
	answer := make(chan []string, 1)
	h.stuck.Store(c.serial, answer)
	defer h.stuck.Delete(c.serial)
	control(controlAbandon, c.serial)
	select {
	case place = <-answer:
		return outsideRuby(place), nil
	case <-time.After(placeWait):
		return nil, outsideRuby(lockHolder())
	}
}

// leave abandons the call, unless its job ends at this very moment.
func (h *Host) leave(c *call, err *InterruptedError) error {
	if c.caller.CompareAndSwap(callerWaits, callerLeft) {
		return err
	}
	<-c.done
	return h.interrupted(c, err.Cause, time.Now())
}

// interrupted returns the error for a job that ended after its context. It
// drops the job's result and keeps the place where the Ruby code was.
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
	h.release(c)
	return e
}

// byItsContext returns an interrupt for the error of a service that gave up because the
// call's context had ended. Such an error can reach the Ruby code, and end the call,
// before the interrupt does.
func (h *Host) byItsContext(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	var ruby *Error
	if !errors.As(err, &ruby) || ruby.Class != serviceErrorClass {
		return err
	}
	h.timeouts.Add(1)
	return &InterruptedError{Cause: context.Cause(ctx), Backtrace: ruby.Backtrace}
}

// splitLines returns the lines of the text without their ends.
func splitLines(text []byte) []string {
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

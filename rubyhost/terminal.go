package rubyhost

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
)

// terminalService is asked by the Ruby thread that calls what Ruby code has trapped for
// INT (ruby/lib/tasker/host/terminal.rb). A question's answer is the next interrupt, and
// the next question says whether that one was trapped.
const terminalService = "tasker-rb's terminal"

// trapWait bounds how long an interrupt waits for Ruby. It is much longer than a trap
// takes, unless C code holds Ruby's lock.
const trapWait = 2 * time.Second

// trapped and passed are what the Ruby thread says of the last interrupt.
const (
	trapped = "trapped"
	passed  = "passed"
)

// quits is what Ruby says when a person ends the program at a prompt.
const quits = "quits"

// terminal passes interrupts to Ruby, one after the other.
type terminal struct {
	mu         sync.Mutex // an interrupt is under way
	interrupts chan struct{}
	said       chan bool
}

// Interrupt passes a person's ^C on to the Ruby code. It calls what that has trapped for
// INT, and raises what the trap raises in the thread that has set it. It returns false
// if nothing is trapped, if Ruby does not answer, and without [Options].Terminal.
func (h *Host) Interrupt() bool {
	t := &h.terminal
	if !h.opts.Terminal {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.said: // of an interrupt that has not waited for it
	default:
	}
	late := time.NewTimer(trapWait)
	defer late.Stop()
	select {
	case t.interrupts <- struct{}{}:
	case <-h.closing:
		return false
	case <-late.C:
		return false
	}
	select {
	case took := <-t.said:
		return took
	case <-h.closing:
		return false
	case <-late.C:
		return false
	}
}

// awaitInterrupt is the service. One Ruby thread asks it, until the host closes. Another one
// may ask it to end the program.
func (h *Host) awaitInterrupt(ctx context.Context, payload []byte) ([]byte, error) {
	t := &h.terminal
	switch string(payload) {
	case trapped, passed:
		select {
		case t.said <- string(payload) == trapped:
		default:
		}
	case quits:
		return nil, syscall.Kill(os.Getpid(), syscall.SIGINT)
	}
	select {
	case <-t.interrupts:
		return []byte("INT"), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-h.closing:
		return nil, ErrClosed
	}
}

// openTerminal starts the Ruby thread.
func (h *Host) openTerminal(ctx context.Context) error {
	h.terminal.interrupts, h.terminal.said = make(chan struct{}), make(chan bool, 1)
	if err := h.Serve(ctx, terminalService, h.awaitInterrupt); err != nil {
		return err
	}
	_, err := h.Eval(ctx, "Tasker::Host::Terminal.listen", "terminal")
	return err
}

package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// signals are what ^C and SIGTERM do to a command. The first ends its context, and the next
// ends the process at once. A command that drains takes one more in between, which
// interrupts what still runs.
type signals struct {
	received chan os.Signal
	over     chan struct{} // closed at the end of the command

	mu        sync.Mutex
	told      bool          // the first has come
	interrupt chan struct{} // closed by the second; nil unless the command drains
	offer     func() bool   // takes a ^C that is not for the command; may be nil
	already   chan struct{} // closed if the command has interrupted by itself
}

type signalsKey struct{}

// untilSignal returns a context that the first signal ends.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	s := &signals{received: make(chan os.Signal, 3), over: make(chan struct{})}
	signal.Notify(s.received, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.WithValue(parent, signalsKey{}, s))
	go func() {
		if again := s.await(cancel); again != nil {
			_ = syscall.Kill(os.Getpid(), again.(syscall.Signal)) // both of them are known
		}
	}()
	return ctx, sync.OnceFunc(func() { close(s.over); cancel() })
}

// await does what the signals mean, in turn. It gives them back what they do by default
// before it tells of the last one that it takes: from then on another one ends the process.
// It returns one that came before that, which would be lost.
func (s *signals) await(cancel func()) (again os.Signal) {
	for told := false; !told; {
		select {
		case received := <-s.received:
			told = received != os.Interrupt || !s.taken()
		case <-s.over:
			signal.Stop(s.received)
			return nil
		}
	}
	interrupt, already := s.first()
	if interrupt == nil {
		defer cancel()
		return s.release()
	}
	cancel()
	select {
	case <-s.received:
	case <-already:
	case <-s.over:
		signal.Stop(s.received)
		return nil
	}
	defer close(interrupt)
	return s.release()
}

// taken offers a ^C.
func (s *signals) taken() bool {
	s.mu.Lock()
	offer := s.offer
	s.mu.Unlock()
	return offer != nil && offer()
}

// offerInterrupts has each ^C offered before it counts, until the first that is not taken.
func offerInterrupts(ctx context.Context, offer func() bool) {
	if s, ok := ctx.Value(signalsKey{}).(*signals); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.offer = offer
	}
}

// first notes that the first signal has come: it is too late to ask for more.
func (s *signals) first() (interrupt, already chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = true
	return s.interrupt, s.already
}

func (s *signals) release() (again os.Signal) {
	signal.Stop(s.received)
	select {
	case again = <-s.received:
	default:
	}
	return again
}

// drains says that the command drains after the first signal. The second one closes
// interrupt. If the drain ends by itself, already is called, which closes it too.
func drains(ctx context.Context) (interrupt <-chan struct{}, already func()) {
	s, ok := ctx.Value(signalsKey{}).(*signals)
	if !ok {
		s = &signals{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	second, ended := make(chan struct{}), make(chan struct{})
	if s.told || !ok { // nobody will close it
		return second, sync.OnceFunc(func() { close(second) })
	}
	s.interrupt, s.already = second, ended
	return second, sync.OnceFunc(func() { close(ended) })
}

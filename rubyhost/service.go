package rubyhost

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"unsafe"

	"github.com/cockroachdb/errors"
)

// Service answers what Ruby code asks of Go with Tasker::Host.ask(name,
// payload). It runs in a goroutine of its own while the Ruby thread waits
// without the GVL. ctx is that of the call on whose behalf Ruby asks, a
// background one outside a call, or one that ended with [ErrCallOver] in a
// thread that the call has left behind; it also ends when the Ruby side stops
// waiting (Timeout, Thread#raise, Thread#kill). An [*Error] is raised in Ruby
// as that class, any other error as Tasker::Host::ServiceError.
type Service func(ctx context.Context, payload []byte) ([]byte, error)

// services is the table of what Ruby may ask for, and what is being answered.
type services struct {
	mu      sync.Mutex
	list    []Service
	pending map[unsafe.Pointer]context.CancelFunc
	running sync.WaitGroup
}

func (s *services) wait() { s.running.Wait() }

// Serve makes a service known to Ruby under a name. It replaces an earlier
// one of that name for questions asked from then on.
func (h *Host) Serve(ctx context.Context, name string, service Service) error {
	h.services.mu.Lock()
	number := len(h.services.list)
	h.services.list = append(h.services.list, service)
	h.services.mu.Unlock()
	_, err := h.call(ctx, opServe, []byte(name), fmt.Append(nil, number))
	return err
}

// ErrCallOver is why the context ended of a question that a thread asks whose
// handler has returned already.
var ErrCallOver = errors.New("rubyhost: the call is over")

// contextOf returns the context of the call with that serial.
func (h *Host) contextOf(serial uint64) context.Context {
	if serial == 0 {
		return context.Background()
	}
	c := &h.slots[slotOf(serial)]
	if ctx := c.context(serial); ctx != nil {
		return ctx
	}
	over, cancel := context.WithCancelCause(context.Background())
	cancel(ErrCallOver)
	return over
}

// requestPosted is called by the drain goroutine.
func (h *Host) requestPosted(key unsafe.Pointer, number uint32, serial uint64, payload []byte) {
	ctx, cancel := context.WithCancel(h.contextOf(serial))
	s := &h.services
	s.mu.Lock()
	var service Service
	if int(number) < len(s.list) {
		service = s.list[number]
	}
	if s.pending == nil {
		s.pending = map[unsafe.Pointer]context.CancelFunc{}
	}
	s.pending[key] = cancel
	s.mu.Unlock()
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		answer, err := serve(ctx, service, payload)
		s.mu.Lock()
		delete(s.pending, key)
		s.mu.Unlock()
		cancel()
		if err != nil {
			reply(key, true, encodeError(err))
			return
		}
		reply(key, false, answer)
	}()
}

// serve turns a panic into an error: it must not end the host.
func serve(ctx context.Context, service Service, payload []byte) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Newf("a Go service panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if service == nil {
		return nil, errors.New("no such service")
	}
	return service(ctx, payload)
}

// requestAbandoned is called by the drain goroutine: Ruby waits no longer.
func (h *Host) requestAbandoned(key unsafe.Pointer) {
	h.services.mu.Lock()
	cancel := h.services.pending[key]
	h.services.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// encodeError is the opposite of decodeError, for what Ruby is to raise.
func encodeError(err error) []byte {
	wire := map[string]any{"class": "Tasker::Host::ServiceError", "message": err.Error()}
	var ruby *Error
	if errors.As(err, &ruby) {
		wire["class"], wire["message"] = ruby.Class, ruby.Message
		if ruby.Context != nil {
			wire["context"] = ruby.Context
		}
	}
	b, marshalErr := json.Marshal(wire)
	if marshalErr != nil {
		return []byte(`{"class":"Tasker::Host::ServiceError","message":"the error could not be encoded"}`)
	}
	return b
}

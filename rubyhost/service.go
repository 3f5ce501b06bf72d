package rubyhost

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cockroachdb/errors"
)

// Service answers what Ruby code asks of Go with Tasker::Host.ask(name,
// payload). It runs in a goroutine of its own while the Ruby thread waits
// without the GVL. ctx is the context of the call that the asking thread
// belongs to. Outside a call it is a background context. In a thread that has
// outlived its call it has ended with [ErrCallOver]. ctx also ends when the Ruby
// side stops waiting (Timeout, Thread#raise, Thread#kill). Ruby raises an
// [*Error] as that class, and any other error as Tasker::Host::ServiceError.
type Service func(ctx context.Context, payload []byte) ([]byte, error)

// services is the table of what Ruby may ask for, with the questions that Go is
// answering.
type services struct {
	mu      sync.Mutex
	list    []Service
	pending map[unsafe.Pointer]context.CancelFunc
	running sync.WaitGroup

	// asked hands questions to goroutines that have answered a question before,
	// because their stacks have grown already.
	asked chan question
	// answering counts the questions that Go has not answered yet.
	answering atomic.Int32
}

// question is one request from Ruby.
type question struct {
	key     unsafe.Pointer
	ctx     context.Context //nolint:containedctx // it is the question's own
	cancel  context.CancelFunc
	service Service
	payload []byte
}

// wait must come after the last request.
func (s *services) wait() {
	close(s.asked)
	s.running.Wait()
}

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

// ErrCallOver is the cause with which a question's context ends when the asking
// thread's handler has returned already.
var ErrCallOver = errors.New("rubyhost: the call is over")

// contextOf returns the context of the call with that serial. The serial comes
// from Ruby, where a handler may have made it up.
func (h *Host) contextOf(serial uint64) context.Context {
	if serial == 0 {
		return context.Background()
	}
	if c := h.calls.of(serial); c != nil {
		if ctx := c.context(serial); ctx != nil {
			return ctx
		}
	}
	over, cancel := context.WithCancelCause(context.Background())
	cancel(ErrCallOver)
	return over
}

// requestPosted has a goroutine answer the question.
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
	s.answering.Add(1)
	q := question{key: key, ctx: ctx, cancel: cancel, service: service, payload: payload}
	select {
	case s.asked <- q:
	default:
		s.running.Go(func() { h.answer(q) })
	}
}

// answer answers q, and then further questions until the host closes.
func (h *Host) answer(q question) {
	s := &h.services
	for open := true; open; q, open = <-s.asked {
		answer, err := serve(q.ctx, q.service, q.payload)
		s.mu.Lock()
		delete(s.pending, q.key)
		s.mu.Unlock()
		q.cancel()
		failed := err != nil
		if failed {
			answer = encodeError(err)
		}
		alone := s.answering.Add(-1) == 0
		reply(q.key, failed, answer)
		if alone && h.inFlight.Load() <= 1 && h.opts.Spin > 0 {
			h.outbox.standIn(h, h.opts.Spin)
		}
	}
}

// serve runs the service. It turns a panic into an error, because a panic must
// not end the host.
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

// requestCancelled ends the context of a question for whose answer Ruby no
// longer waits.
func (h *Host) requestCancelled(key unsafe.Pointer) {
	h.services.mu.Lock()
	cancel := h.services.pending[key]
	h.services.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// serviceErrorClass is what Ruby raises for an error of a service that is no [*Error].
const serviceErrorClass = "Tasker::Host::ServiceError"

// encodeError writes the error that Ruby is to raise as JSON.
func encodeError(err error) []byte {
	wire := map[string]any{"class": serviceErrorClass, "message": err.Error()}
	var ruby *Error
	if errors.As(err, &ruby) {
		wire["class"], wire["message"] = ruby.Class, ruby.Message
		if ruby.Context != nil {
			wire["context"] = ruby.Context
		}
	}
	b, marshalErr := json.Marshal(wire)
	if marshalErr != nil {
		return []byte(`{"class":"` + serviceErrorClass + `","message":"the error could not be encoded"}`)
	}
	return b
}

package rubyhost

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/errors"
)

// Step holds the arguments of a step handler, as JSON documents. Ruby parses a
// document when the handler first touches it. docs/rubyhost.md describes their
// shapes.
type Step struct {
	Task    json.RawMessage // the task's head
	Context json.RawMessage // the task's context, an object
	Step    json.RawMessage // the head of the step to run
	Config  json.RawMessage // handler_config, an object
	Steps   json.RawMessage // the heads of all steps, an array; nil to have them asked for
	Results []Result        // of the step's ancestors

	// ByNeed answers for the documents that are not above, when the handler first
	// reads them. Nil means that there are no others.
	ByNeed Documents

	// KeepThreads lets the threads that the step's own code starts live on. By
	// default they are ended with the step; docs/rubyhost.md says how.
	KeepThreads bool

	// Withdraw, when it is closed, takes the step back if no Ruby thread has begun it.
	// Run then returns [ErrNotBegun]. A step that has begun goes on. Optional.
	Withdraw <-chan struct{}
}

// Result is the outcome of another step, by its name.
type Result struct {
	Step string
	JSON json.RawMessage
}

// Documents are what a handler may read of a task's other steps. A task may have
// thousands of them, and a handler reads few. The methods are called from any
// goroutine while the step runs.
type Documents interface {
	Heads() json.RawMessage           // of all steps, an array
	Head(step string) json.RawMessage // nil if there is no such step
	// Result returns nil if the step has no results that this one may read. ctx ends
	// when Ruby stops waiting for them. Ruby raises the error.
	Result(ctx context.Context, step string) (json.RawMessage, error)
}

// Handler is a step-handler class that has been found and checked.
type Handler struct {
	host   *Host
	class  string
	target uint32
}

// callableCache remembers the handlers that Ruby has found, by class.
type callableCache struct {
	mu       sync.Mutex
	handlers map[string]*Handler
}

// Handler finds a loaded step-handler class by its Ruby name, or by the name that it
// was registered with, such as "validate_cart". After a "#" there may be the method that
// is called instead of process: "Shop::Payments#refund". The method that the step's head
// has as its handler_method is called otherwise. When there is no such class, the error
// names the file where it was expected and the names that are nearest.
func (h *Host) Handler(ctx context.Context, class string) (*Handler, error) {
	h.mu.Lock()
	known := h.handlers[class]
	h.mu.Unlock()
	if known != nil {
		return known, nil
	}
	target, err := h.register(ctx, opResolve, class)
	if err != nil {
		return nil, err
	}
	handler := &Handler{host: h, class: class, target: target}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handlers == nil {
		h.handlers = map[string]*Handler{}
	}
	h.handlers[class] = handler
	return handler, nil
}

// Within returns the same handler within a task handler, which is a class with hooks. Run
// then calls its hooks before and after the step's own code. docs/handlers.md names the
// hooks. If there is no class of that name, or it has no hooks, only the handler runs.
func (hd *Handler) Within(ctx context.Context, taskHandler string) (*Handler, error) {
	key := hd.class + "\x00" + taskHandler
	h := hd.host
	h.mu.Lock()
	known := h.handlers[key]
	h.mu.Unlock()
	if known != nil {
		return known, nil
	}
	target, err := h.register(ctx, opResolve, hd.class, taskHandler)
	if err != nil {
		return nil, err
	}
	within := &Handler{host: h, class: hd.class, target: target}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers[key] = within
	return within, nil
}

// register asks Ruby for a callable and returns its index.
func (h *Host) register(ctx context.Context, op uint32, args ...string) (uint32, error) {
	segments := make([][]byte, len(args))
	for i, a := range args {
		segments[i] = []byte(a)
	}
	value, err := h.call(ctx, op, segments...)
	if err != nil {
		return 0, err
	}
	index, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil {
		return 0, errors.Wrapf(err, "rubyhost: an index was expected, not %s", value)
	}
	return uint32(index), nil
}

// Class returns the name of the class.
func (hd *Handler) Class() string { return hd.class }

// Run makes a new instance of the class, calls process and process_results,
// and returns the step's results as JSON.
//
// The error is an [*Error] when Ruby raised, an [*InterruptedError] when ctx
// ended first, [ErrNotBegun], [ErrThreadKilled], [ErrJumped] or [ErrClosed]. A value that
// JSON cannot hold is an [*Error] of class Tasker::UnrepresentableError, which
// is permanent and names the place in the value.
func (hd *Handler) Run(ctx context.Context, s *Step) (json.RawMessage, error) {
	plant()
	var few [16][]byte
	segments := append(few[:0], s.Task, s.Context, s.Step, s.Config, s.Steps, nil)
	if s.ByNeed != nil {
		segments[5] = byNeed
		ctx = context.WithValue(ctx, documentsKey{}, s.ByNeed)
	}
	for _, r := range s.Results {
		segments = append(segments, []byte(r.Step), r.JSON)
	}
	return hd.host.perform(ctx, hd.target, !s.KeepThreads, s.Withdraw, segments)
}

// byNeed is the segment that tells Ruby that there are documents to ask for.
var byNeed = []byte("by need")

// documentsKey is the key of a step's Documents in the context of its call.
type documentsKey struct{}

// documentsService is the service's name in Ruby (host.rb). No user's service has it.
const documentsService = "tasker-rb's documents"

// answerDocument is the service of the documents. The question is "heads", "head NAME" or
// "results NAME"; an empty answer means that there is none.
func answerDocument(ctx context.Context, question []byte) ([]byte, error) {
	documents, ok := ctx.Value(documentsKey{}).(Documents)
	if !ok {
		return nil, errors.New("the step has ended; read what you need before it does")
	}
	kind, name, _ := strings.Cut(string(question), " ")
	switch kind {
	case "heads":
		return documents.Heads(), nil
	case "head":
		return documents.Head(name), nil
	case "results":
		return documents.Result(ctx, name)
	default:
		return nil, errors.Newf("rubyhost: a step has no document %q", kind)
	}
}

// Method is a public method of a Ruby constant, such as "Invoice.total".
type Method struct {
	host   *Host
	name   string
	target uint32
}

// Method finds a loaded "Const.method". It is for Go programs that embed Ruby
// and have no steps.
func (h *Host) Method(ctx context.Context, name string) (*Method, error) {
	target, err := h.register(ctx, opMethod, name)
	if err != nil {
		return nil, err
	}
	return &Method{host: h, name: name, target: target}, nil
}

// Call calls the method and returns its value as JSON. Each argument travels as
// JSON, which Ruby parses.
func (m *Method) Call(ctx context.Context, args ...any) (json.RawMessage, error) {
	segments := make([][]byte, len(args))
	for i, a := range args {
		b, err := json.Marshal(a)
		if err != nil {
			return nil, errors.Wrapf(err, "rubyhost: argument %d", i+1)
		}
		segments[i] = b
	}
	return m.host.call(ctx, m.target, segments...)
}

// Call calls a method and decodes its value to T by encoding/json. Numbers that are
// decoded to an interface are a [json.Number], so they keep every digit.
func Call[T any](ctx context.Context, m *Method, args ...any) (T, error) {
	var value T
	document, err := m.Call(ctx, args...)
	if err != nil {
		return value, err
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return value, errors.Wrapf(err, "rubyhost: the value of %s does not fit %T", m.name, value)
	}
	return value, nil
}

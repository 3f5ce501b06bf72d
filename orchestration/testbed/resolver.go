package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// resolver gives each attempt its faults.
type resolver struct {
	i    *instance
	next orchestration.HandlerResolver
}

// ResolveHandler implements orchestration.HandlerResolver. The class of a step that may be
// stubbed is looked for when the step is known.
func (r resolver) ResolveHandler(ctx context.Context, class string) (orchestration.StepHandler, error) {
	if r.i.bed.stubs(class) {
		return handler{i: r.i, resolver: r.next}, nil
	}
	next, err := r.next.ResolveHandler(ctx, class)
	if err != nil {
		return nil, err
	}
	return handler{i: r.i, next: next}, nil
}

// ThreadsOf implements orchestration.Threaded.
func (r resolver) ThreadsOf(class string) *orchestration.Threads {
	if threaded, ok := r.next.(orchestration.Threaded); ok {
		return threaded.ThreadsOf(class)
	}
	return nil
}

// CheckContext implements orchestration.ContextChecker.
func (r resolver) CheckContext(ctx context.Context, t *templates.Template, context json.RawMessage) error {
	if checker, ok := r.next.(orchestration.ContextChecker); ok {
		return checker.CheckContext(ctx, t, context)
	}
	return nil
}

// handler is a handler whose attempts meet faults.
type handler struct {
	i        *instance
	next     orchestration.StepHandler
	resolver orchestration.HandlerResolver // finds next
}

// HandleStep implements orchestration.StepHandler.
func (h handler) HandleStep(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	returned := sync.OnceFunc(h.i.bed.clock.begin(&h.i.bed.clock.handlers))
	defer returned()
	defer context.AfterFunc(ctx, returned)() // the clock waits for no handler that is told to stop
	h.i.bed.awaitAbandoned(ctx, x)
	a, end := h.i.begin(x)
	defer end()
	return a.perform(ctx, h)
}

// unresolved is the error of a class that was looked for too late for the engine to know
// that another attempt does not help.
func unresolved(ctx context.Context, err error) error {
	var s *orchestration.StepError
	if !errors.As(err, &s) {
		s = &orchestration.StepError{Class: fmt.Sprintf("%T", errors.UnwrapAll(err)), Message: err.Error(), Err: err}
	}
	failure := *s
	failure.Permanent = ctx.Err() == nil
	return &failure
}

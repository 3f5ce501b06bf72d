package orchestrationtest

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Moment is when a fault meets an attempt.
type Moment int

const (
	// Before the handler's code begins. The attempt has been counted.
	Before Moment = iota + 1
	// During means after the handler's code, and before the commit: what the code did
	// outside the database has happened, and nothing is recorded.
	During
	// After the commit.
	After
)

// fault is what happens to one attempt.
type fault struct {
	err        error // instead of the handler's code
	crash      Moment
	connection Moment
}

// faults are those that have met no attempt yet, by step.
type faults struct {
	mu     sync.Mutex
	byStep map[string][]fault
}

func (f *faults) add(step string, more ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byStep == nil {
		f.byStep = map[string][]fault{}
	}
	f.byStep[step] = append(f.byStep[step], more...)
}

// take returns the fault for an attempt of the step that begins.
func (f *faults) take(step string) (next fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if list := f.byStep[step]; len(list) > 0 {
		next, f.byStep[step] = list[0], list[1:]
	}
	return next
}

func (f *faults) left() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := map[string]int{}
	for step, list := range f.byStep {
		if len(list) > 0 {
			left[step] = len(list)
		}
	}
	return left
}

// Fail fails so many attempts of the step with the error. Their handler is not called.
func (e *Env) Fail(step string, times int, err error) {
	for range times {
		e.faults.add(step, fault{err: err})
	}
}

// Crash drops the engine at an attempt of the step. Another engine takes the task over.
// The attempt is lost, unless the moment is After.
func (e *Env) Crash(step string, moment Moment) { e.faults.add(step, fault{crash: moment}) }

// LoseConnection ends the connection of the step's transaction at an attempt. The handler
// meets it at its first statement (Before), or the commit does (During). With After the
// server commits, and its answer is lost. The transaction has begun before the handler's
// code, whether that uses it or not; the template must not say `transaction: none`.
func (e *Env) LoseConnection(step string, moment Moment) {
	e.faults.add(step, fault{connection: moment})
}

// handlers gives each attempt its fault.
type handlers struct {
	i    *instance
	next orchestration.HandlerResolver
}

// ResolveHandler implements orchestration.HandlerResolver.
func (h handlers) ResolveHandler(ctx context.Context, class string) (orchestration.StepHandler, error) {
	handler, err := h.next.ResolveHandler(ctx, class)
	if err != nil {
		return nil, err
	}
	return faulty{h.i, handler}, nil
}

// ThreadsOf implements orchestration.Threaded.
func (h handlers) ThreadsOf(class string) *orchestration.Threads {
	if threaded, ok := h.next.(orchestration.Threaded); ok {
		return threaded.ThreadsOf(class)
	}
	return nil
}

// faulty is a handler whose attempts meet faults.
type faulty struct {
	i    *instance
	next orchestration.StepHandler
}

func (h faulty) HandleStep(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	returned := sync.OnceFunc(h.i.env.clock.begin(&h.i.env.clock.handlers))
	defer returned()
	defer context.AfterFunc(ctx, returned)() // the clock waits for no handler that is told to stop
	f := h.i.env.faults.take(x.StepName)
	if f.err != nil {
		return nil, f.err
	}
	pid := 0
	if f.connection != 0 {
		var err error
		if pid, err = backend(ctx, x); err != nil {
			return nil, errors.Wrap(err, "orchestrationtest: no connection to lose")
		}
	}
	if f.connection == Before {
		h.i.env.endBackends("pid = $1", pid)
	}
	if f.crash == Before {
		return nil, h.crash()
	}
	if f.crash == After {
		h.i.mu.Lock()
		h.i.after[attempt{x.TaskID, x.StepName, x.Attempt}] = true
		h.i.mu.Unlock()
	}
	results, err := h.next.HandleStep(ctx, x)
	switch {
	case f.crash == During:
		return nil, h.crash()
	case f.connection == During:
		h.i.env.endBackends("pid = $1", pid)
	case f.connection == After:
		h.i.mu.Lock()
		h.i.lost[pid] = true
		h.i.mu.Unlock()
	}
	return results, err
}

func (h faulty) crash() error {
	h.i.drop()
	return errCrash
}

// backend returns the process of the server that runs the step's transaction.
func backend(ctx context.Context, x *orchestration.StepExecution) (pid int, err error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid)
	return pid, err
}

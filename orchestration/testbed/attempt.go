package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// attempt is one that runs.
type attempt struct {
	i   *instance
	x   *orchestration.StepExecution
	run *run // nil outside of Run

	returned chan struct{} // closed when the handler has returned

	mu         sync.Mutex
	fault      *pending // what it meets; nil after that
	point      *Fault   // where its run crashes; nil after that
	statements int
}

// begin notes that an attempt has begun.
func (i *instance) begin(x *orchestration.StepExecution) (a *attempt, end func()) {
	a = &attempt{i: i, x: x, run: i.bed.runOf(x.TaskID), returned: make(chan struct{})}
	if a.run != nil {
		a.point = a.run.crashOf(x)
	}
	if a.point == nil {
		a.fault = i.bed.faults.take(x.StepName)
	}
	i.mu.Lock()
	i.attempts[x] = a
	i.mu.Unlock()
	return a, func() {
		i.mu.Lock()
		delete(i.attempts, x)
		i.mu.Unlock()
		close(a.returned)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.fault != nil {
			i.bed.faults.giveBack(a.fault)
		}
	}
}

// strikes returns the fault or the crash whose moment this is, and which takes place now.
func (a *attempt) strikes(is func(*Fault) bool) (f Fault, strikes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.point != nil && is(a.point):
		f, a.point = *a.point, nil
		a.run.reach()
		return f, true
	case a.fault != nil && is(&a.fault.Fault):
		f, a.fault = a.fault.Fault, nil
		return f, true
	}
	return f, false
}

func (a *attempt) strikesAt(at Moment, kinds ...Kind) (Fault, bool) {
	return a.strikes(func(f *Fault) bool {
		for _, k := range kinds {
			if f.Kind == k {
				return f.At == at
			}
		}
		return false
	})
}

// perform calls the handler, or its stub, between the faults.
func (a *attempt) perform(ctx context.Context, h handler) (json.RawMessage, error) {
	if a.i.dropped() {
		return nil, errCrash
	}
	switch f, strikes := a.strikesAt(Before, Crash, Connection, Timeout); {
	case !strikes:
	case f.Kind == Crash:
		return nil, a.crash("before the code")
	case f.Kind == Timeout:
		a.x.Expire()
	default:
		if err := a.loseConnection(ctx); err != nil {
			return nil, err
		}
	}
	if err := a.begin(ctx); err != nil { // what is lost at the commit must be there
		return nil, err
	}
	a.record(Entry{Kind: EntryBegin})
	if f, strikes := a.strikesAt("", Fail); strikes {
		return nil, f.Err
	}
	results, err := a.call(ctx, h)
	switch f, strikes := a.strikesAt(During, Crash, Connection); {
	case !strikes:
	case f.Kind == Crash:
		return nil, a.crash("before the commit")
	default:
		if err := a.loseConnection(ctx); err != nil {
			return nil, err
		}
	}
	if a.i.dropped() {
		return nil, errCrash
	}
	if _, strikes := a.strikesAt(After, Crash); strikes {
		a.i.mu.Lock()
		a.i.after[keyOf(a.x)] = a
		a.i.mu.Unlock()
	}
	if err == nil {
		if _, strikes := a.strikesAt(After, CommitAnswer); strikes {
			err = a.loseAnswer(ctx)
		}
	}
	return results, err
}

// call calls the handler, unless its step is stubbed.
func (a *attempt) call(ctx context.Context, h handler) (json.RawMessage, error) {
	if a.run != nil {
		if results, stubbed := a.run.options.Stubs[a.x.StepName]; stubbed {
			return results, nil
		}
	}
	if h.next == nil {
		var err error
		if h.next, err = h.resolver.ResolveHandler(ctx, a.x.Class); err != nil {
			return nil, unresolved(ctx, err)
		}
	}
	return h.next.HandleStep(ctx, a.x)
}

// aroundStatement is called before each statement of a handler.
func (i *instance) aroundStatement(x *orchestration.StepExecution, sql string) (after func(orchestration.TracedStatement), err error) {
	i.mu.Lock()
	a := i.attempts[x]
	i.mu.Unlock()
	if a == nil || sql == backendSQL {
		return nil, nil
	}
	return a.statement(sql)
}

// statement meets the fault of the attempt's next statement, if it has one.
func (a *attempt) statement(sql string) (after func(orchestration.TracedStatement), err error) {
	if a.i.dropped() {
		return nil, errCrash
	}
	a.mu.Lock()
	a.statements++
	number := a.statements
	a.mu.Unlock()
	is := func(f *Fault) bool { return f.At == AtStatement && f.Number == number }
	f, strikes := a.strikes(is)
	switch {
	case !strikes:
	case f.Kind == Crash && f.Side != SideAfter:
		return nil, a.crash(fmt.Sprintf("before statement %d", number))
	case f.Kind == Connection:
		if err := a.loseConnection(context.Background()); err != nil {
			return nil, err
		}
	case f.Kind == Timeout:
		a.x.Expire()
	}
	a.i.bed.sql.look(a, sql)
	return func(s orchestration.TracedStatement) {
		if a.i.dropped() {
			return
		}
		if a.run != nil {
			a.run.addStatement(a.x.StepName, Statement{Attempt: a.x.Attempt, Number: number, TracedStatement: s})
		}
		if strikes && f.Kind == Crash {
			_ = a.crash(fmt.Sprintf("after statement %d", number)) // the handler notices it at its next one
		}
	}, nil
}

func (a *attempt) record(e Entry) {
	if a.run != nil {
		e.Step, e.Attempt = a.x.StepName, a.x.Attempt
		a.run.add(e)
	}
}

// crash drops the engine.
func (a *attempt) crash(when string) error {
	if !a.i.dropped() { // by an attempt beside this one
		a.record(Entry{Kind: EntryCrash, Detail: when})
	}
	a.i.drop()
	return errCrash
}

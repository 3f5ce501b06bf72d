package orchestration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
)

// finished is what the goroutine that ran an attempt reports.
type finished struct {
	step      *stepRun
	outcome   outcome
	endedTask bool
	released  bool
	err       error // the outcome could not be recorded
}

// attempt is a step that is run once.
type attempt struct {
	*Engine
	x        *StepExecution
	step     *stepRun
	claimant int64
	last     bool // every other step of the task is done
	report   func(finished)

	interrupt context.CancelCauseFunc // of the context that the handler gets
	over      atomic.Bool             // it has results, or a failure
}

// perform runs the attempt, records what came of it, and reports that, once.
//
// ctx is the engine's; handling, below it, also ends when the step is taken
// away from this engine, as by a cancel.
func (a *attempt) perform(ctx, handling context.Context) {
	ended := false
	defer func() {
		if !ended { // by runtime.Goexit, as the assertions of tests do
			a.conclude(ctx, nil, &StepError{Class: "runtime.Goexit", Message: "the handler ended its goroutine"})
		}
	}()
	results, failure := a.call(handling, func(stuck *StepError) { a.conclude(ctx, nil, stuck) })
	ended = true
	a.conclude(ctx, results, failure)
}

// conclude records what came of the attempt. Whoever is first says what that is:
// the handler, or the one who does not wait for it any longer.
func (a *attempt) conclude(ctx context.Context, results json.RawMessage, failure *StepError) {
	if !a.over.CompareAndSwap(false, true) {
		return
	}
	f := a.record(ctx, results, failure)
	a.hub.end(a.step.id)
	a.report(f)
}

func (a *attempt) record(ctx context.Context, results json.RawMessage, failure *StepError) finished {
	s, f := a.step, finished{step: a.step}
	open, failed := a.x.session.Finish()
	if failed != nil && failure == nil {
		failure = sqlFailure(failed)
	}
	// What follows must happen also when ctx has ended.
	settleCtx, cancel := settling(ctx, a.settle)
	defer cancel()
	committed := false
	defer func() { a.x.session.Done(committed) }()
	if failure == nil {
		f.outcome = outcome{to: StepComplete, kind: "complete", results: results, started: s.lastAttempted, ended: a.now(), last: a.last}
		f.endedTask, f.err = a.commit(settleCtx, a.x.session, open, a.x.TaskID, s, a.claimant, f.outcome)
		if committed = f.err == nil; committed || errors.Is(f.err, errClaimLost) {
			return f
		}
		// What the handler did could not be committed: that fails the attempt.
		failure = commitFailure(f.err)
	} else {
		a.x.session.Rollback(settleCtx)
	}
	if ctx.Err() != nil {
		f.released = true
		f.err = a.release(settleCtx, s, a.claimant)
		return f
	}
	f.outcome = a.failed(s, failure)
	f.endedTask, f.err = a.Engine.record(settleCtx, s, a.claimant, f.outcome)
	return f
}

// call runs the handler within the step's time, and turns whatever comes of it
// into results or a StepError. stuck is called if the handler does not return
// when it should, and nobody waits for it any longer.
func (a *attempt) call(ctx context.Context, stuck func(*StepError)) (json.RawMessage, *StepError) {
	step := a.step.template
	if step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, step.Timeout, errTimeout{step.Timeout})
		defer cancel()
	}
	// Statements that are still running when the handler has returned end too.
	defer a.interrupt(errHandlerReturned)
	a.x.session.Until(ctx)
	var handler StepHandler
	err := guarded(func() (err error) {
		handler, err = a.cfg.Handlers.ResolveHandler(ctx, step.HandlerClass)
		return err
	})
	if err != nil {
		failure := stepError(ctx, err)
		failure.Permanent = ctx.Err() == nil
		return nil, failure
	}
	if step.Transaction == templates.TransactionAlways {
		if err := a.x.session.Begin(ctx); err != nil {
			return nil, stepError(ctx, err)
		}
	}
	results, err := a.run(ctx, handler, stuck)
	var timeout errTimeout
	if err == nil && errors.As(context.Cause(ctx), &timeout) {
		err = timeout // it did not notice, and its results come too late
	}
	if err != nil {
		return nil, stepError(ctx, err)
	}
	if problem := unstorable(results); problem != "" {
		return nil, &StepError{
			Class: "Tasker::UnrepresentableError", Permanent: true, ErrorCode: "UNREPRESENTABLE_RESULT",
			Message: "the results are not JSON that can be kept: " + problem,
		}
	}
	if len(results) == 0 {
		results = json.RawMessage("null")
	}
	return results, nil
}

// run runs the handler, and has an eye on how long it goes on once its time is
// over.
func (a *attempt) run(ctx context.Context, h StepHandler, stuck func(*StepError)) (json.RawMessage, error) {
	returned := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(a.cfg.Grace)
		defer grace.Stop()
		select {
		case <-returned:
			return
		case <-grace.C:
		}
		a.cfg.Logger.Error("a handler did not return after its context had ended, and is left behind",
			"task", a.x.TaskID, "step", a.x.StepName, "attempt", a.x.Attempt, "grace", a.cfg.Grace)
		stuck(stepError(ctx, &StepError{
			Class:   "Tasker::StepStuck",
			Message: fmt.Sprintf("the handler did not return within %v after it was to stop (%v)", a.cfg.Grace, context.Cause(ctx)),
		}))
	})
	defer func() {
		close(returned)
		unwatch()
	}()
	var results json.RawMessage
	err := guarded(func() (err error) {
		results, err = h.HandleStep(ctx, a.x)
		return err
	})
	return results, err
}

// guarded turns a panic of code that is written in Go into an error.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &StepError{Class: "panic", Message: fmt.Sprint(p), Backtrace: []string{string(debug.Stack())}}
		}
	}()
	return call()
}

func unstorable(results json.RawMessage) string {
	if len(results) == 0 {
		return ""
	}
	if !json.Valid(results) {
		return "they are not valid JSON"
	}
	if bytes.Contains(results, []byte(`\u0000`)) && hasNUL(results) {
		return "a string in them holds a NUL character"
	}
	return ""
}

// hasNUL tells the escape of a NUL from a backslash followed by u0000.
func hasNUL(document []byte) bool {
	for i := 0; i < len(document); i++ {
		if document[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(document[i:], []byte(`\u0000`)) {
			return true
		}
		i++ // what is escaped is not an escape
	}
	return false
}

// commit records success, in the handler's transaction if it has one.
func (e *Engine) commit(ctx context.Context, session *sqlsession.Session, open bool, taskID int64, s *stepRun, claimant int64, o outcome) (ended bool, err error) {
	if !open {
		defer session.Rollback(ctx) // there is nothing to roll back, but perhaps a connection to give back
		return e.record(ctx, s, claimant, o)
	}
	ctx, cancel := context.WithTimeout(ctx, e.settle)
	defer cancel()
	return commitOwn(ctx, session, taskID, s, claimant, o)
}

// errHandlerReturned is why the context of a step ended whose handler is done.
var errHandlerReturned = errors.New("the handler had returned")

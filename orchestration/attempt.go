package orchestration

import (
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

// attempt runs a claimed step once.
type attempt struct {
	engine   *Engine
	x        *StepExecution
	step     *stepRun
	claimant int64
	succeed  func(ctx context.Context, results int) *succession // plans what follows a success; results are bytes
	report   func(attemptResult)
	stopping <-chan struct{} // closed when no more steps may start
	began    time.Time       // when the handler got its thread
	patience *time.Timer     // of a handler that waits in the threads' own queue

	interrupt context.CancelCauseFunc // ends the handler's context
	finished  atomic.Bool             // the attempt has results or a failure
}

// attemptResult is what an attempt reports to its task's loop.
type attemptResult struct {
	step      *stepRun
	outcome   outcome
	endedTask bool
	released  bool
	ran       time.Duration // of a released attempt; 0 if it has not begun
	err       error         // the outcome could not be recorded
	follows   *succession
}

// perform runs the attempt, records its outcome, and reports it once.
//
// ctx is the engine's. handlerCtx is derived from it, and also ends when this
// engine loses the step, for example to a cancel.
func (a *attempt) perform(ctx, handlerCtx context.Context) {
	if !a.awaitThread(handlerCtx) {
		a.turnBack(ctx)
		return
	}
	a.began = time.Now()
	a.engine.handlers.Add(1)
	returned := false
	defer func() {
		if !returned { // the handler called runtime.Goexit, as a test's assertions do
			a.finish(ctx, nil, &StepError{Class: "runtime.Goexit", Message: "the handler ended its goroutine"})
		}
	}()
	results, failure := a.callHandler(handlerCtx, func(stuck *StepError) { a.finish(ctx, nil, stuck) })
	returned = true
	if failure != nil && errors.Is(failure, ErrNotBegun) {
		if a.finished.CompareAndSwap(false, true) {
			a.giveThread(-1)
			a.turnBack(ctx)
		}
		return
	}
	a.finish(ctx, results, failure)
}

// finish records the outcome and reports it. Only the first call counts: it comes
// from the handler's return, or from the watch that abandons a stuck handler.
func (a *attempt) finish(ctx context.Context, results json.RawMessage, failure *StepError) {
	if !a.finished.CompareAndSwap(false, true) {
		return
	}
	a.giveThread(time.Since(a.began))
	a.x.attempt.end(a.step.template, len(results))
	r := a.recordOutcome(ctx, results, failure)
	a.engine.memory.committed(len(results))
	a.engine.garbage.add(len(results))
	a.engine.watchers.endAttempt(a.step.id, a.claimant)
	a.report(r)
}

// recordOutcome commits a success together with the handler's SQL. For a failure
// it rolls that back first. If ctx has ended, a failed attempt is released instead.
//
// A commit that fails is followed by the record of a failure. That is a
// compare-and-swap on the same claim, so it also decides about a commit whose answer
// was lost: both cannot succeed.
func (a *attempt) recordOutcome(ctx context.Context, results json.RawMessage, failure *StepError) attemptResult {
	open, failed := a.x.session.Finish()
	failure = ofSession(failure, failed)
	// Everything below must also happen after ctx has ended.
	recording, cancel := outliving(ctx, a.engine.stopTimeout+transferTime(len(results)))
	defer cancel()
	if failure != nil {
		a.leaveThreads()
		a.x.session.Rollback(recording)
		defer a.x.session.Done(sqlsession.RolledBack)
		return a.recognized(recording, a.recordFailure(ctx, recording, a.handlerFailed(recording, failure, failed)))
	}
	follows := a.succeed(ctx, len(results))
	a.leaveThreads()
	r := attemptResult{step: a.step, outcome: a.success(results, follows.last), follows: follows}
	fate := sqlsession.Committed
	defer func() { a.x.session.Done(fate) }()
	if r.endedTask, r.err = a.commitSuccess(recording, open, r.outcome, follows.requested()); r.err == nil {
		return r
	}
	follows.claims.claimed = nil
	if r = a.recognized(recording, r); r.err == nil {
		return r
	}
	fate = sqlsession.RolledBack
	if errors.Is(r.err, errClaimLost) {
		if err := a.engine.recall(recording, follows.requested()); err != nil {
			r.err = errors.CombineErrors(r.err, err)
		}
		return r
	}
	second := a.recognized(recording, a.recordFailure(ctx, recording, a.commitFailed(r.err)))
	second.follows = follows
	switch {
	case errors.Is(second.err, errClaimLost): // by a commit whose answer was lost, or by another engine
		if again := a.recognized(recording, attemptResult{step: a.step, outcome: r.outcome, err: errClaimLost, follows: follows}); again.err == nil {
			fate = sqlsession.Committed
			return again
		}
	case second.err != nil:
		fate = sqlsession.Unknown
	}
	return second
}

// awaitThread waits for a thread for the handler. It is there already, or about to be:
// other threads take long only if their handlers are slow all at once. Then it reports
// false, and so it does if the attempt must not begin any more.
func (a *attempt) awaitThread(ctx context.Context) bool {
	t := a.step.threads
	if t == nil {
		return true
	}
	granted, queued := t.take(a.step.template.Timeout > 0 && a.step.template.Timeout < time.Minute)
	if queued {
		withdraw := make(chan struct{})
		a.patience = time.AfterFunc(threadPatience, func() { close(withdraw) })
		a.x.Withdraw = withdraw
	}
	if granted == nil {
		return true
	}
	patience := time.NewTimer(threadPatience)
	defer patience.Stop()
	select {
	case <-granted:
		return true
	case <-patience.C:
	case <-a.stopping:
	case <-ctx.Done():
	}
	return !t.withdraw(granted)
}

// turnBack releases the claim of an attempt that has not begun.
func (a *attempt) turnBack(ctx context.Context) {
	a.x.attempt.end(a.step.template, 0)
	a.leaveThreads()
	recording, cancel := outliving(ctx, a.engine.stopTimeout)
	defer cancel()
	a.x.session.Finish()
	a.x.session.Rollback(recording)
	a.x.session.Done(sqlsession.RolledBack)
	r := attemptResult{step: a.step, released: true, err: a.engine.release(recording, a.step, a.claimant)}
	a.engine.watchers.endAttempt(a.step.id, a.claimant)
	a.report(r)
}

// giveThread gives the handler's thread back.
func (a *attempt) giveThread(ran time.Duration) {
	a.engine.handlers.Add(-1)
	if a.patience != nil {
		a.patience.Stop()
	}
	if t := a.step.threads; t != nil {
		t.give(ran)
	}
}

// leaveThreads lets others be claimed for the thread.
func (a *attempt) leaveThreads() {
	if t := a.step.threads; t != nil {
		t.leave()
	}
}

// recordFailure records the outcome of a failed attempt, or releases it if the engine
// stops.
func (a *attempt) recordFailure(ctx, recording context.Context, o outcome) attemptResult {
	if ctx.Err() != nil {
		return attemptResult{step: a.step, released: true, ran: time.Since(a.began), err: a.engine.release(recording, a.step, a.claimant)}
	}
	r := attemptResult{step: a.step, outcome: o}
	r.endedTask, r.err = a.engine.commitOutcome(recording, a.step, a.claimant, o, nil)
	return r
}

// commitSuccess records a success, in the handler's transaction if one is open.
func (a *attempt) commitSuccess(ctx context.Context, open bool, o outcome, claims *claimRequest) (endedTask bool, err error) {
	if !open {
		defer a.x.session.Rollback(ctx) // no statement to undo, but it may return a connection to the pool
		if len(o.results) >= largeRequest {
			return a.commitLarge(ctx, o, claims)
		}
		return a.engine.commitOutcome(ctx, a.step, a.claimant, o, claims)
	}
	ctx, cancel := context.WithTimeout(ctx, a.engine.stopTimeout+transferTime(len(o.results)))
	defer cancel()
	return a.commitInTx(ctx, o, claims)
}

// callHandler finds the handler, runs it within the step's time, and returns
// results that can be stored, or a StepError. stuck is called, from another
// goroutine, if the engine abandons the handler.
func (a *attempt) callHandler(ctx context.Context, stuck func(*StepError)) (json.RawMessage, *StepError) {
	step := a.step.template
	if step.Timeout > 0 && !a.engine.cfg.NoTimeouts {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, step.Timeout, errTimeout{step.Timeout})
		defer cancel()
	}
	defer a.interrupt(errHandlerReturned) // ends statements that the handler left running
	a.x.session.Until(ctx)
	var handler StepHandler
	err := guarded(func() (err error) {
		handler, err = a.engine.cfg.Handlers.ResolveHandler(ctx, step.HandlerClass)
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
	results, err := a.awaitHandler(ctx, handler, stuck)
	var timeout errTimeout
	if err == nil && errors.As(context.Cause(ctx), &timeout) {
		err = timeout // the handler returned normally, but too late
	}
	if err != nil {
		return nil, stepError(ctx, err)
	}
	if problem := unstorable(results, a.engine.cfg.MaxDocumentBytes); problem != "" {
		return nil, &StepError{
			Class: "Tasker::UnrepresentableError", Permanent: true, ErrorCode: "UNREPRESENTABLE_RESULT",
			Message: "the results cannot be stored as JSON: " + problem,
		}
	}
	if len(results) == 0 {
		results = json.RawMessage("null")
	}
	return results, nil
}

// awaitHandler calls the handler. If the handler has not returned Grace after ctx
// ended, it is abandoned: stuck is called, and the engine goes on without it.
func (a *attempt) awaitHandler(ctx context.Context, h StepHandler, stuck func(*StepError)) (json.RawMessage, error) {
	returned := make(chan struct{})
	cfg := &a.engine.cfg
	unwatch := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(cfg.Grace)
		defer grace.Stop()
		select {
		case <-returned:
			return
		case <-grace.C:
		}
		cfg.Logger.Error("a handler did not return after its context had ended, and was abandoned",
			"task", a.x.TaskID, "step", a.x.StepName, "attempt", a.x.Attempt, "class", a.x.Class, "grace", cfg.Grace)
		stuck(stepError(ctx, &StepError{
			Class:   "Tasker::StepStuck",
			Message: fmt.Sprintf("the handler did not return within %v after it was told to stop (%v)", cfg.Grace, context.Cause(ctx)),
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

// guarded turns a panic of Go code into an error.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &StepError{Class: "panic", Message: fmt.Sprint(p), Backtrace: []string{string(debug.Stack())}}
		}
	}()
	return call()
}

// errHandlerReturned is the cause with which a step's context ends after its
// handler has returned.
var errHandlerReturned = errors.New("the handler had returned")

package orchestration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"

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

// perform runs one attempt and records what came of it. last says that every
// other step of the task is done.
//
// ctx is the engine's; attempt, below it, also ends when the step is taken
// away from this engine, as by a cancel.
func (e *Engine) perform(ctx, attempt context.Context, x *StepExecution, s *stepRun, claimant int64, last bool) finished {
	defer e.hub.end(s.id)
	f := finished{step: s}
	results, failure := e.call(attempt, x, s.template)
	open, failed := x.session.Finish()
	if failed != nil && failure == nil {
		failure = sqlFailure(failed)
	}
	// What follows must happen also when ctx has ended.
	settleCtx, cancel := settling(ctx, e.settle)
	defer cancel()
	committed := false
	defer func() { x.session.Done(committed) }()
	if failure == nil {
		f.outcome = outcome{to: StepComplete, kind: "complete", results: results, started: s.lastAttempted, ended: e.now(), last: last}
		f.endedTask, f.err = e.commit(settleCtx, x.session, open, x.TaskID, s, claimant, f.outcome)
		if committed = f.err == nil; committed || errors.Is(f.err, errClaimLost) {
			return f
		}
		// What the handler did could not be committed: that fails the attempt.
		failure = commitFailure(f.err)
	} else {
		x.session.Rollback(settleCtx)
	}
	if ctx.Err() != nil {
		f.released = true
		f.err = e.release(settleCtx, s, claimant)
		return f
	}
	f.outcome = e.failed(s, failure)
	f.endedTask, f.err = e.record(settleCtx, s, claimant, f.outcome)
	return f
}

// call runs the handler within the step's time, and turns whatever comes of it
// into results or a StepError.
func (e *Engine) call(ctx context.Context, x *StepExecution, step *templates.Step) (json.RawMessage, *StepError) {
	// Statements that are still running when the handler has returned end too.
	ctx, returned := context.WithCancelCause(ctx)
	defer returned(errHandlerReturned)
	if step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, step.Timeout, errTimeout{step.Timeout})
		defer cancel()
	}
	handler, err := e.cfg.Handlers.ResolveHandler(ctx, step.HandlerClass)
	if err != nil {
		failure := stepError(ctx, err)
		failure.Permanent = ctx.Err() == nil
		return nil, failure
	}
	if step.Transaction == templates.TransactionAlways {
		if err := x.session.Begin(ctx); err != nil {
			return nil, stepError(ctx, err)
		}
	}
	results, err := e.await(ctx, handler, x)
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

// await runs the handler and waits for it, but no longer than the grace once
// its time is over.
func (e *Engine) await(ctx context.Context, h StepHandler, x *StepExecution) (json.RawMessage, error) {
	type answer struct {
		results json.RawMessage
		err     error
	}
	answers := make(chan answer, 1)
	go func() {
		growStack(0)
		results, err := handle(ctx, h, x)
		answers <- answer{results, err}
	}()
	select {
	case a := <-answers:
		return a.results, a.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(e.cfg.Grace)
	defer grace.Stop()
	select {
	case a := <-answers:
		return a.results, a.err
	case <-grace.C:
		e.cfg.Logger.Error("a handler did not return after its context had ended, and is left behind",
			"task", x.TaskID, "step", x.StepName, "attempt", x.Attempt, "grace", e.cfg.Grace)
		return nil, &StepError{
			Class:   "Tasker::StepStuck",
			Message: fmt.Sprintf("the handler did not return within %v after it was to stop (%v)", e.cfg.Grace, context.Cause(ctx)),
		}
	}
}

// handle turns a panic of a handler written in Go into an error.
func handle(ctx context.Context, h StepHandler, x *StepExecution) (results json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &StepError{Class: "panic", Message: fmt.Sprint(p), Backtrace: []string{string(debug.Stack())}}
		}
	}()
	return h.HandleStep(ctx, x)
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

// failed decides what a failure leads to.
func (e *Engine) failed(s *stepRun, failure *StepError) outcome {
	now := e.now()
	o := outcome{kind: "error", err: failure, started: s.lastAttempted, ended: now}
	o.to = retryDecision(s.retries, failure.Permanent, s.attempts, s.limit)
	if o.to == StepWaitingForRetry {
		wait := backoff(s.template.Backoff, s.attempts, failure.RetryAfter, e.cfg.Random())
		o.due = now.Add(wait).Truncate(time.Microsecond)
		seconds := wait.Seconds()
		o.wait = &seconds
	}
	return o
}

// errTimeout is why the context of a step ended that took too long.
type errTimeout struct{ limit time.Duration }

func (e errTimeout) Error() string        { return fmt.Sprintf("the step took longer than its %v", e.limit) }
func (e errTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// stepError makes any error a StepError.
func stepError(ctx context.Context, err error) *StepError {
	var timeout errTimeout
	if errors.As(context.Cause(ctx), &timeout) {
		s := &StepError{Class: "Tasker::StepTimeout", Message: timeout.Error(), Err: err}
		var place *StepError
		if errors.As(err, &place) {
			s.Message, s.Backtrace = place.Message, place.Backtrace
		}
		return s
	}
	var s *StepError
	if errors.As(err, &s) {
		return s
	}
	var sql *sqlsession.Error
	if errors.As(err, &sql) {
		return sqlFailure(sql)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return &StepError{Class: "PG::" + pg.Code, Message: err.Error(), ErrorCode: pg.Code, Err: err}
	}
	message := err.Error()
	if hint := errors.FlattenHints(err); hint != "" {
		message += " (" + hint + ")"
	}
	return &StepError{Class: fmt.Sprintf("%T", errors.UnwrapAll(err)), Message: message, Err: err}
}

// sqlFailure is for an error that the handler did not pass on.
func sqlFailure(e *sqlsession.Error) *StepError {
	class := "Tasker::SQLError"
	if name := e.Class(); name != "" {
		class += "::" + name
	}
	s := &StepError{Class: class, Message: e.Message, ErrorCode: e.SQLState, Permanent: e.Rule, Err: e}
	for _, more := range []string{e.Detail, e.Hint} {
		if more != "" {
			s.Message += "\n" + more
		}
	}
	return s
}

// errHandlerReturned is why the context of a step ended whose handler is done.
var errHandlerReturned = errors.New("the handler had returned")

func commitFailure(err error) *StepError {
	s := stepError(context.Background(), err)
	if connectionLost(err) {
		s.Class = "Tasker::SQLError::ConnectionLost"
	}
	s.Message = "the step's transaction could not be committed: " + s.Message
	return s
}

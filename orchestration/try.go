package orchestration

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
)

// TryOptions say which step [Engine.Try] repeats.
type TryOptions struct {
	Export *Export // required
	Step   string  // required
}

// Check returns the error that [Engine.Try] would return without calling the handler.
func (o TryOptions) Check() error {
	_, _, err := recordedStep(o)
	return err
}

// TryResult is what a repeated step did. Nothing of it is in the database.
type TryResult struct {
	Attempt  int // the number that the handler saw
	Results  json.RawMessage
	Err      *StepError // nil if the step would have been complete
	Duration time.Duration
	// Recorded is the latest recorded attempt whose handler returned, or nil.
	Recorded *Attempt
	// Differences say in what the outcome differs from Recorded. They are empty if it has
	// the same results, or an error of the same class with the same message and code.
	// Redacted values are not compared.
	Differences []string
}

// ErrStepNotReady says that a step cannot be tried, because one that it depends on has no
// recorded results.
var ErrStepNotReady = errors.New("the step was not ready to run")

// Try repeats one step of a recorded task: with its context, the results of its ancestors,
// its handler_config and the number of its latest attempt. The SQL of the handler runs in
// a transaction that is always rolled back, also that of a step with `transaction: none`.
// No table of the engine is written. Blocks of after_commit do not run, those of
// after_rollback do.
//
// What the handler does elsewhere is done: a request to another server, a connection of
// its own, a sequence of the database.
//
// The error says that the step could not be tried. It is [ErrStepNotFound],
// [ErrStepNotReady] if a step that it depends on has no results, or the cause of ctx.
func (e *Engine) Try(ctx context.Context, o TryOptions) (*TryResult, error) {
	t, s, err := recordedStep(o)
	if err != nil {
		return nil, err
	}
	seen := t.snapshot()
	x := &StepExecution{
		TaskID: t.id, StepID: s.id, Namespace: t.template.Namespace, TaskName: t.template.Name,
		StepName: s.template.Name, Class: s.template.HandlerClass, Attempt: s.attempts, TaskHandler: t.template.TaskHandlerClass,
		Steps: len(t.steps), Parents: s.template.Parents,
		Context: t.context, Config: s.template.HandlerConfig,
		TaskHead: t.taskHeadJSON(), StepHead: seen.headOf(s.index),
		KeepThreads: s.template.KeepThreads,
		seen:        seen, // with all results, so nothing is read
		session:     sqlsession.ForStep(e.pool, string(s.template.Isolation)),
	}
	e.trace(x)
	handlerCtx, interrupt := context.WithCancelCause(ctx)
	a := &attempt{engine: e, x: x, step: s, interrupt: interrupt}
	began := time.Now()
	results, failure := a.try(handlerCtx)
	r := &TryResult{Attempt: x.Attempt, Duration: time.Since(began)}
	if failure = a.rollBack(ctx, failure); failure == nil {
		r.Results = results
	}
	if ctx.Err() != nil {
		return nil, errors.Wrapf(context.Cause(ctx), "step %q was interrupted", x.StepName)
	}
	r.Err = failure
	r.compare(o.Export.Task.Steps[s.index].History, len(o.Export.Redacted) > 0)
	return r, nil
}

// try calls the handler. It returns without it if the handler is abandoned.
func (a *attempt) try(ctx context.Context) (json.RawMessage, *StepError) {
	type returned struct {
		results json.RawMessage
		failure *StepError
	}
	first := make(chan returned, 2)
	go func() {
		r := returned{failure: &StepError{Class: "runtime.Goexit", Message: "the handler ended its goroutine"}}
		defer func() { first <- r }()
		r.results, r.failure = a.callHandler(ctx, func(stuck *StepError) { first <- returned{failure: stuck} })
	}()
	r := <-first
	return r.results, r.failure
}

// rollBack ends the step's session. It returns the failure that the engine would have
// recorded.
func (a *attempt) rollBack(ctx context.Context, failure *StepError) *StepError {
	ctx, cancel := outliving(ctx, a.engine.stopTimeout)
	defer cancel()
	_, failed := a.x.session.Finish()
	failure = ofSession(failure, failed)
	if failure == nil {
		if err := a.x.session.CheckCommit(ctx); err != nil {
			failure = commitFailure(err)
		}
	}
	a.x.session.Rollback(ctx)
	a.x.session.Done(sqlsession.RolledBack)
	return failure
}

// recordedStep makes the task as it was when the step's latest attempt began.
func recordedStep(o TryOptions) (*taskRun, *stepRun, error) {
	if o.Export == nil {
		return nil, nil, errors.New("orchestration: TryOptions.Export is missing")
	}
	d := o.Export.Task
	step := d.Template.Step(o.Step)
	if step == nil {
		return nil, nil, noSuchStep(d.Template, o.Step)
	}
	t := &taskRun{
		id: d.TaskID, template: d.Template, state: TaskInProgress, context: d.Context, runAt: d.RunAt,
		head: taskHead{tags: nonNil(d.Tags), initiator: d.Initiator, sourceSystem: d.SourceSystem, reason: d.Reason, createdAt: d.CreatedAt},
	}
	for i := range d.Steps {
		s := t.record(&d.Steps[i], step)
		if s.results.bytes == 0 && d.Template.DependsOn(o.Step, s.template.Name) {
			return nil, nil, errors.WithHintf(
				errorOf(ErrStepNotReady, "the step %q was not ready to run: %q, which it depends on, is %s and has no results", o.Step, s.template.Name, s.state),
				"Try the step %q first, or run the whole task.", s.template.Name)
		}
		t.steps = append(t.steps, s)
	}
	return t, t.steps[step.Index], nil
}

// record adds a recorded step. tried is the one to try: it is in progress, and what comes
// after it has not begun.
func (t *taskRun) record(d *StepDetail, tried *templates.Step) *stepRun {
	s := &stepRun{
		index: len(t.steps), id: d.StepID, template: t.template.Step(d.Name),
		stepView: stepView{state: d.State, attempts: d.Attempts, limit: d.RetryLimit, retries: d.Retryable},
	}
	if last := d.Last(); last != nil {
		s.lastAttempted = last.StartedAt
	}
	switch {
	case d.Name == tried.Name:
		if d.Attempts == 0 && d.Last() != nil { // an operator's retry forgave them
			s.attempts = d.Last().Number
		}
		s.state, s.attempts = StepInProgress, max(s.attempts, 1)
	case t.template.DependsOn(d.Name, tried.Name):
		s.state, s.attempts, s.lastAttempted = StepPending, 0, time.Time{}
	case d.State.Done():
		s.results = resultOf(d.Results())
	}
	return s
}

func noSuchStep(t *templates.Template, name string) error {
	names := make([]string, len(t.Steps))
	for i, s := range t.Steps {
		names[i] = s.Name
	}
	err := errorOf(ErrStepNotFound, "the template %s has no step %q", t.ID(), name)
	if hint := nearest.Hint(name, names); hint != "" {
		return errors.WithHint(err, hint)
	}
	return errors.WithHintf(err, "It has %s.", strings.Join(names, ", "))
}

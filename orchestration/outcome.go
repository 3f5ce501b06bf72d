package orchestration

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

// errClaimLost says that this engine no longer holds the claim on the step. The
// outcome was not recorded, and the handler's transaction was rolled back.
var errClaimLost = errors.New("the claim on the step was lost")

// outcome is the result of one attempt, and the state that the step gets by it.
type outcome struct {
	to      StepState
	kind    string // tasker.attempts.outcome
	reason  string // for the audit; empty for a success
	results json.RawMessage
	err     *StepError
	started time.Time
	ended   time.Time
	due     time.Time // when a step that waits for a retry may run
	wait    *float64  // the same in seconds from the end of the attempt
	last    bool      // every other step is done, so this outcome ends the task
	loss    bool      // the attempt does not count
	crash   bool      // its process died
}

// success is the outcome of an attempt whose handler returned results.
func (a *attempt) success(results json.RawMessage, last bool) outcome {
	return outcome{
		to: StepComplete, kind: "complete", results: results,
		started: a.step.lastAttempted, ended: a.engine.now(), last: last,
	}
}

// failedOutcome is the outcome of a failed attempt: another attempt, or an error.
func (a *attempt) failedOutcome(failure *StepError) outcome {
	s, now := a.step, a.engine.now()
	o := outcome{kind: "error", err: failure, started: s.lastAttempted, ended: now}
	if failure.Programming && !s.template.RetryProgrammingErrors {
		failure.Permanent = true // the recorded error says what was decided
	}
	o.to = retryDecision(s.retries, failure.Permanent, s.counted(), s.limit)
	switch {
	case o.to == StepWaitingForRetry:
		wait := backoff(s.template.Backoff, s.counted(), failure.RetryAfter, a.engine.cfg.Random())
		o.due = now.Add(wait).Truncate(time.Microsecond)
		seconds := wait.Seconds()
		o.wait = &seconds
		o.reason = "the handler failed and may be tried again: "
	case failure.Permanent:
		o.reason = "the handler failed for good: "
	default:
		o.reason = "the handler failed in its last attempt: "
	}
	o.reason += storableText(failure.Class)
	return o
}

// commitOutcome records the outcome in a commit that it shares with other steps. The
// claims, if any, are made in the same commit.
// It reports whether that ended the task.
func (e *Engine) commitOutcome(ctx context.Context, s *stepRun, claimant int64, o outcome, claims *claimRequest) (endedTask bool, err error) {
	request := &outcomeRequest{requestBase: requestBase{ctx: ctx}, row: o.row(s, claimant), claims: claims}
	err = e.group.commit(request)
	if err == nil && !request.recorded {
		return false, errClaimLost
	}
	return request.endedTask, recordingError(s, err)
}

func recordingError(s *stepRun, err error) error {
	return errors.Wrapf(err, "recording the outcome of step %q", s.template.Name)
}

// releaseSQL also writes the claim into the audit: no attempt will show it. Its parameters:
// $1 step, $2 claimant, $3 attempt, $4 now, $5 states that may become pending.
const releaseSQL = `
	with o as (
		select step_id, state, attempts, claimed_by, last_attempted_at from tasker.steps
		where step_id = $1 and claimed_by = $2 and attempts = $3 and state = any($5) for no key update),
	u as (
		update tasker.steps s set state = 'pending', attempts = s.attempts - 1, claimed_by = null
		from o where s.step_id = o.step_id returning o.*)
	insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, actor, at)
	select u.step_id, r.* from u, lateral (values
		(null, 'in_progress', attempts, 'claimed', 'engine ' || claimed_by, last_attempted_at),
		(state, 'pending', attempts, 'interrupted; the attempt does not count', null, $4::timestamptz)) r
	returning step_id`

// release undoes the claim of an attempt that the engine interrupted to stop. The
// attempt does not count.
func (e *Engine) release(ctx context.Context, s *stepRun, claimant int64) error {
	var released int
	err := e.group.exec(ctx, rowCount(&released), releaseSQL,
		s.id, claimant, s.attemptNumber, e.now(), sources(StepTransitions, StepPending))
	if err == nil && released == 0 {
		return errClaimLost
	}
	return errors.Wrapf(err, "releasing step %q", s.template.Name)
}

// storedError is a StepError as tasker.attempts holds it.
type storedError struct {
	*StepError
	RetryAfter *float64 `json:"retry_after,omitempty"` // seconds
}

func errorJSON(e *StepError) string {
	s := storedError{StepError: e}
	if e.RetryAfter != nil {
		seconds := e.RetryAfter.Seconds()
		s.RetryAfter = &seconds
	}
	b, err := marshalExact(s)
	if err != nil { // its Context is not JSON
		plain := *e
		plain.Context = nil
		b = mustMarshal(storedError{StepError: &plain, RetryAfter: s.RetryAfter})
	}
	return string(b)
}

// maxClass bounds the class name in the indexed column. The stored error has the
// whole name.
const maxClass = 500

// classOf is the error's class as the indexed column can hold it.
func classOf(e *StepError) *string {
	if e == nil {
		return nil
	}
	class := storableText(e.Class)
	if len(class) > maxClass {
		class = strings.ToValidUTF8(class[:maxClass], "")
	}
	return &class
}

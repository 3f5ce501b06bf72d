package orchestration

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

// errClaimLost: the step is not this engine's any more; its outcome was not
// recorded, and what its handler did in its transaction was rolled back.
var errClaimLost = errors.New("the claim on the step was lost")

// outcome is what came of one attempt.
type outcome struct {
	to      StepState
	kind    string // tasker.attempts.outcome
	results json.RawMessage
	err     *StepError
	started time.Time
	ended   time.Time
	due     time.Time
	wait    *float64
	last    bool // every other step is done: this one ends the task
}

// record writes the outcome in a commit that it shares with others. It reports
// whether it ended the task.
func (e *Engine) record(ctx context.Context, s *stepRun, claimant int64, o outcome) (endedTask bool, err error) {
	request := &statement{ctx: ctx, outcome: o.row(s, claimant)}
	err = e.group.commit(request)
	return request.ended, recording(s, request.recorded, err)
}

func recording(s *stepRun, recorded bool, err error) error {
	if err == nil && !recorded {
		return errClaimLost
	}
	return errors.Wrapf(err, "recording the outcome of step %q", s.template.Name)
}

func (o outcome) row(s *stepRun, claimant int64) *outcomeRow {
	row := &outcomeRow{
		step: s.id, claimant: claimant, number: int32(s.number), to: string(o.to), kind: o.kind,
		class: classOf(o.err), started: o.started, at: o.ended, wait: o.wait, reason: reasonOf(o),
	}
	if o.results != nil {
		results := string(o.results)
		row.results = &results
	}
	if o.err != nil {
		row.failed = errorText(o.err)
	}
	if o.to == StepWaitingForRetry {
		row.due = &o.due
	}
	row.last = o.last && o.to.Done()
	return row
}

func errorText(e *StepError) *string {
	text := errorJSON(e)
	return &text
}

func reasonOf(o outcome) string {
	switch {
	case o.err == nil:
		return "the handler returned"
	case o.to == StepWaitingForRetry:
		return "the handler failed and may be tried again: " + storableText(o.err.Class)
	case o.err.Permanent:
		return "the handler failed for good: " + storableText(o.err.Class)
	default:
		return "the handler failed in its last attempt: " + storableText(o.err.Class)
	}
}

// release gives a claim back as if it had not been made: the handler was
// interrupted because the engine stops, and its attempt is not counted.
func (e *Engine) release(ctx context.Context, s *stepRun, claimant int64) error {
	var released int
	err := e.group.exec(ctx, rowCount(&released), `
		with o as (
			select step_id, state, attempts from tasker.steps
			where step_id = $1 and claimed_by = $2 and attempts = $3 and state = any($5) for no key update),
		u as (
			update tasker.steps s set state = 'pending', attempts = s.attempts - 1, claimed_by = null
			from o where s.step_id = o.step_id returning s.step_id, o.state as was, o.attempts)
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at)
		select step_id, was, 'pending', attempts, 'interrupted; the attempt does not count', $4 from u
		returning step_id`,
		s.id, claimant, s.number, e.now(), sources(StepTransitions, StepPending))
	if err == nil && released == 0 {
		return errClaimLost
	}
	return errors.Wrapf(err, "releasing step %q", s.template.Name)
}

// maxClass bounds what is indexed of the name of an error's class; the error
// itself has it whole.
const maxClass = 500

// classOf is the class of an error as a text column can hold it.
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

// storableText replaces what PostgreSQL's text cannot hold.
func storableText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\u2400")
}

// storedError is how an error is kept in tasker.attempts.
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
	b, err := json.Marshal(s)
	if err != nil { // its Context is not JSON
		plain := *e
		plain.Context = nil
		b = mustMarshal(storedError{StepError: &plain, RetryAfter: s.RetryAfter})
	}
	return string(b)
}

// ended moves the whole task into a final state that is not complete.
func (e *Engine) ended(ctx context.Context, t *taskRun, to TaskState, reason string) (bool, error) {
	var ended int
	err := e.group.exec(ctx, rowCount(&ended), `
		with o as (select task_id, state from tasker.tasks where task_id = $1 and state = any($2) and revision = $6 for no key update),
		u as (
			update tasker.tasks k set state = $3, ended_at = $5, held_by = null from o
			where k.task_id = o.task_id and not exists (
				select 1 from tasker.steps s where s.task_id = $1 and s.state = 'in_progress')
			returning k.task_id, o.state as was)
		insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
		select task_id, was, $3, $4, $5 from u
		returning task_id`, t.id, sources(TaskTransitions, to), string(to), reason, e.now(), t.revision)
	return ended == 1, errors.Wrapf(err, "ending task %d", t.id)
}

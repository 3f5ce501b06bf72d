package orchestration

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// outcomeSQL records what came of an attempt: the step's new state, the
// attempt's row, the audit row and, when every other step is done, the end of
// the task. All of it happens, or, if the claim is not ours any more, none.
//
//	$1 step  $2 claimant  $3 attempt  $4 state  $5 outcome  $6 results
//	$7 error  $8 started  $9 now  $10 next attempt  $11 backoff seconds
//	$12 reason  $13 'complete' to end the task  $14 states it may come from
const outcomeSQL = `
	with o as (
		select step_id, task_id, state, attempts from tasker.steps
		where step_id = $1 and claimed_by = $2 and attempts = $3 and state = any($14) for update),
	u as (
		update tasker.steps s
		set state = $4, claimed_by = null, next_attempt_at = case when $4 = 'waiting_for_retry' then $10::timestamptz end,
			backoff_request_seconds = $11, ended_at = case when $4 in ('complete', 'error') then $9::timestamptz end
		from o where s.step_id = o.step_id
		returning s.step_id, s.task_id, s.attempts, o.state as was),
	a as (
		insert into tasker.attempts (step_id, attempt, outcome, results, error, started_at, ended_at)
		select step_id, attempts, $5, $6::json, $7::json, $8, $9 from u),
	w as (
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at)
		select step_id, was, $4, attempts, $12, $9 from u),
	k as (
		update tasker.tasks t set state = $13, ended_at = $9 from u
		where $13 <> '' and t.task_id = u.task_id and t.state = 'in_progress' and not exists (
			select 1 from tasker.steps x
			where x.task_id = u.task_id and x.step_id <> u.step_id and x.state not in ('complete', 'resolved_manually'))
		returning t.task_id),
	kw as (
		insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
		select task_id, 'in_progress', $13, 'every step is done', $9 from k)
	select step_id, exists (select 1 from k) from u`

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

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// record writes the outcome. It reports whether it ended the task.
func record(ctx context.Context, db querier, s *stepRun, claimant int64, o outcome) (endedTask bool, err error) {
	var results, failure any
	if o.results != nil {
		results = string(o.results)
	}
	if o.err != nil {
		failure = errorJSON(o.err)
	}
	end := ""
	if o.last && o.to.Done() {
		end = string(TaskComplete)
	}
	var id int64
	err = db.QueryRow(ctx, outcomeSQL, s.id, claimant, s.attempts, string(o.to), o.kind, results, failure, o.started, o.ended,
		due(o.to, o.due), o.wait, reasonOf(o), end, sources(StepTransitions, o.to)).Scan(&id, &endedTask)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, errClaimLost
	}
	return endedTask, errors.Wrapf(err, "recording the outcome of step %q", s.template.Name)
}

func reasonOf(o outcome) string {
	switch {
	case o.err == nil:
		return "the handler returned"
	case o.to == StepWaitingForRetry:
		return "the handler failed and may be tried again: " + o.err.Class
	case o.err.Permanent:
		return "the handler failed for good: " + o.err.Class
	default:
		return "the handler failed in its last attempt: " + o.err.Class
	}
}

// release gives a claim back as if it had not been made: the handler was
// interrupted because the engine stops, and its attempt is not counted.
func (e *Engine) release(ctx context.Context, s *stepRun, claimant int64) error {
	_, err := e.pool.Exec(ctx, `
		with o as (
			select step_id, state, attempts from tasker.steps
			where step_id = $1 and claimed_by = $2 and attempts = $3 and state = any($5) for update),
		u as (
			update tasker.steps s set state = 'pending', attempts = s.attempts - 1, claimed_by = null
			from o where s.step_id = o.step_id returning s.step_id, o.state as was, o.attempts)
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at)
		select step_id, was, 'pending', attempts, 'interrupted; the attempt does not count', $4 from u`,
		s.id, claimant, s.attempts, e.now(), sources(StepTransitions, StepPending))
	return errors.Wrapf(err, "releasing step %q", s.template.Name)
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
	tag, err := e.pool.Exec(ctx, `
		with o as (select task_id, state from tasker.tasks where task_id = $1 and state = any($2) for update),
		u as (
			update tasker.tasks k set state = $3, ended_at = $5 from o
			where k.task_id = o.task_id and not exists (
				select 1 from tasker.steps s where s.task_id = $1 and s.state = 'in_progress')
			returning k.task_id, o.state as was)
		insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
		select task_id, was, $3, $4, $5 from u`, t.id, sources(TaskTransitions, to), string(to), reason, e.now())
	return err == nil && tag.RowsAffected() == 1, errors.Wrapf(err, "ending task %d", t.id)
}

package orchestration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// By is the person or program that changes a task, and the reason. The audit keeps
// both.
type By struct {
	Actor  string // required: a person's name, or a program's
	Reason string
}

// ErrRefused says that the task's or the step's state does not allow the change. The
// message gives the reason, and the hint says what is possible.
var ErrRefused = errors.New("refused")

// ErrStepNotFound says that the task has no step of that name.
var ErrStepNotFound = errors.New("there is no such step")

// RetryTask retries every failed step of a task that ended in error, with all attempts,
// and sets the task in progress again.
func (e *Engine) RetryTask(ctx context.Context, taskID int64, by By) error {
	return e.operate(ctx, taskID, by, func(op *operation) error { return op.retryTask() })
}

// RetryStep retries a failed step, or a waiting one at once. Its attempts so far do not
// count any more.
func (e *Engine) RetryStep(ctx context.Context, taskID int64, step string, by By) error {
	return e.operate(ctx, taskID, by, func(op *operation) error { return op.onStep(step, op.retryStep) })
}

// ResolveStep ends a step that does not run, with results that the caller gives as a
// JSON document. Its children then run as if the step had returned them.
func (e *Engine) ResolveStep(ctx context.Context, taskID int64, step string, results json.RawMessage, by By) error {
	if problem := unstorable(results, e.cfg.MaxDocumentBytes); problem != "" || len(results) == 0 {
		if problem == "" {
			problem = "they are empty"
		}
		return errors.WithHint(errorOf(ErrRefused, "the results of step %q cannot be stored: %s", step, problem),
			"Give a JSON document, such as {\"paid\": true}, or null.")
	}
	return e.operate(ctx, taskID, by, func(op *operation) error {
		return op.onStep(step, func(s *lockedStep) error { return op.resolveStep(s, results) })
	})
}

// ResolveTask declares a task that ended in error resolved. Its steps do not change.
func (e *Engine) ResolveTask(ctx context.Context, taskID int64, by By) error {
	return e.operate(ctx, taskID, by, func(op *operation) error { return op.resolveTask() })
}

// CancelStep ends a step, so that no step that depends on it can run. A running handler
// is interrupted.
func (e *Engine) CancelStep(ctx context.Context, taskID int64, step string, by By) error {
	return e.operate(ctx, taskID, by, func(op *operation) error { return op.onStep(step, op.cancelStep) })
}

// CancelTask ends a task that is not complete, and all its steps that have not ended.
// Running handlers are interrupted, in all engines, and their transactions are rolled
// back.
func (e *Engine) CancelTask(ctx context.Context, taskID int64, by By) error {
	return e.operate(ctx, taskID, by, func(op *operation) error { return op.cancelTask() })
}

// operate makes one change to one task in one transaction, and notifies the engines.
func (e *Engine) operate(ctx context.Context, taskID int64, by By, do func(*operation) error) error {
	by.Actor, by.Reason = storableText(strings.TrimSpace(by.Actor)), storableText(by.Reason)
	if by.Actor == "" {
		return errNoActor()
	}
	return e.inOwnTx(ctx, func(tx pgx.Tx) error {
		op := &operation{ctx: ctx, tx: tx, by: by, now: e.now(), taskID: taskID}
		if err := op.lockRows(); err != nil {
			return err
		}
		if err := do(op); err != nil {
			return err
		}
		return op.announce()
	})
}

func errNoActor() error {
	return errors.WithHint(errorOf(ErrRefused, "By.Actor is empty"), "Say who makes the change: the audit keeps it.")
}

// operation is what a person does to one task. It holds locks on the task's rows, the
// steps before the task. Engines lock them in the same order.
type operation struct {
	ctx    context.Context //nolint:containedctx // the caller's; an operation lives within one call
	tx     pgx.Tx
	by     By
	now    time.Time
	taskID int64
	state  TaskState
	steps  []*lockedStep
}

type lockedStep struct {
	id            int64
	name          string
	state         StepState
	attemptNumber int
	last          *time.Time
}

const (
	lockStepsSQL = `
	select step_id, name, state, attempts, last_attempted_at
	from tasker.steps where task_id = $1 order by step_id for no key update`
	lockTaskSQL = `select state from tasker.tasks where task_id = $1 for no key update`
)

func (op *operation) lockRows() error {
	rows, err := op.tx.Query(op.ctx, lockStepsSQL, op.taskID)
	if err == nil {
		op.steps, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*lockedStep, error) {
			s := &lockedStep{}
			return s, row.Scan(&s.id, &s.name, &s.state, &s.attemptNumber, &s.last)
		})
	}
	if err == nil {
		err = op.tx.QueryRow(op.ctx, lockTaskSQL, op.taskID).Scan(&op.state)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return errors.WithHint(errors.Wrapf(ErrTaskNotFound, "task %d", op.taskID), "`tasker-rb tasks list` shows the tasks of this database.")
	}
	return errors.Wrapf(err, "task %d", op.taskID)
}

// countRevisionSQL also makes the task due. Its parameters: $1 task, $2 now.
const countRevisionSQL = `
	with k as (update tasker.tasks set revision = revision + 1 where task_id = $1 returning task_id, run_at)
	update tasker.queue q
	set due_at = least(q.due_at, greatest(k.run_at, $2)), ready = q.ready or least(q.due_at, greatest(k.run_at, $2)) <= $2
	from k where q.task_id = k.task_id`

const (
	notifyTaskSQL = `select pg_notify('` + channelTask + `', $1::bigint::text)`
	notifyWakeSQL = `select pg_notify('` + channelWake + `', '')`
)

// announce counts up the task's revision, and notifies the engines and the workers.
func (op *operation) announce() error {
	var batch pgx.Batch
	batch.Queue(countRevisionSQL, op.taskID, op.now)
	batch.Queue(notifyTaskSQL, op.taskID)
	batch.Queue(notifyWakeSQL)
	return errors.Wrapf(op.tx.SendBatch(op.ctx, &batch).Close(), "task %d", op.taskID)
}

func (op *operation) onStep(name string, do func(*lockedStep) error) error {
	names := make([]string, len(op.steps))
	for i, s := range op.steps {
		if s.name == name {
			return do(s)
		}
		names[i] = s.name
	}
	return errors.WithHintf(errorOf(ErrStepNotFound, "task %d has no step %q", op.taskID, name), "It has: %s.", strings.Join(names, ", "))
}

func (op *operation) retryTask() error {
	if op.state != TaskInError {
		return op.refuse(op.subject(), string(op.state), "only a task that ended in error can be retried", op.taskHint(op.retryHint()))
	}
	for _, s := range op.steps {
		if s.state == StepInError {
			if err := op.forgive(s); err != nil {
				return err
			}
		}
	}
	return op.moveTask(TaskInProgress, "retried")
}

func (op *operation) retryStep(s *lockedStep) error {
	if err := op.requireOpen(s); err != nil {
		return err
	}
	if s.state != StepInError && s.state != StepWaitingForRetry {
		return op.refuse(op.subjectOf(s), string(s.state), "only a failed or a waiting step can be retried", stepHints[s.state])
	}
	if err := op.forgive(s); err != nil {
		return err
	}
	return op.reopen()
}

// forgive makes the step pending, and its attempts so far not count.
func (op *operation) forgive(s *lockedStep) error {
	return op.moveStep(s, StepPending, "retried", retryStepSQL)
}

// resolvedAttemptSQL writes the results that a person gives. Its parameters:
// $1 step, $2 attempt, $3 results, $4 now, $5 their size if they are large.
const resolvedAttemptSQL = `
	insert into tasker.attempts (step_id, attempt, outcome, results, results_bytes, ended_at)
	values ($1, $2, 'resolved_manually', $3::json, $5, $4)`

func (op *operation) resolveStep(s *lockedStep, results json.RawMessage) error {
	if err := op.requireOpen(s); err != nil {
		return err
	}
	switch s.state {
	case StepInProgress, StepComplete, StepCancelled, StepResolvedManually:
		return op.refuse(op.subjectOf(s), string(s.state), "only a step that is pending, waiting or failed can be resolved", stepHints[s.state])
	}
	_, err := op.tx.Exec(op.ctx, resolvedAttemptSQL, s.id, s.attemptNumber+1, string(results), op.now, storedBytes(results))
	if err != nil {
		return errors.Wrapf(err, "the results of step %q", s.name)
	}
	if err := op.moveStep(s, StepResolvedManually, "resolved", resolveStepSQL); err != nil {
		return err
	}
	return op.reopen()
}

func (op *operation) resolveTask() error {
	if op.state != TaskInError {
		return op.refuse(op.subject(), string(op.state), "only a task that ended in error can be resolved", op.taskHint("A single step that does not run can be resolved by its name."))
	}
	return op.moveTask(TaskResolvedManually, "resolved")
}

func (op *operation) cancelStep(s *lockedStep) error {
	if op.state.Final() {
		return op.refuse(op.subject(), string(op.state), "a step can only be cancelled while its task has not ended", op.taskHint("Retry, resolve or cancel the task."))
	}
	if s.state.Done() || s.state == StepCancelled {
		return op.refuse(op.subjectOf(s), string(s.state), "it has ended", stepHints[s.state])
	}
	return op.cancel(s)
}

func (op *operation) cancelTask() error {
	if op.state.Final() && op.state != TaskInError {
		return op.refuse(op.subject(), string(op.state), "it has ended", op.taskHint(""))
	}
	for _, s := range op.steps {
		if s.state == StepPending || s.state == StepInProgress || s.state == StepWaitingForRetry {
			if err := op.cancel(s); err != nil {
				return err
			}
		}
	}
	return op.moveTask(TaskCancelled, "cancelled")
}

// cancelledAttemptSQL writes the end of an attempt that runs. Its parameters:
// $1 step, $2 attempt, $3 started, $4 now.
const cancelledAttemptSQL = `
	insert into tasker.attempts (step_id, attempt, outcome, started_at, ended_at, claimed_by)
	select step_id, $2, 'cancelled', $3, $4, claimed_by from tasker.steps where step_id = $1`

func (op *operation) cancel(s *lockedStep) error {
	if s.state == StepInProgress {
		_, err := op.tx.Exec(op.ctx, cancelledAttemptSQL, s.id, s.attemptNumber, s.last, op.now)
		if err != nil {
			return errors.Wrapf(err, "cancelling step %q", s.name)
		}
	}
	return op.moveStep(s, StepCancelled, "cancelled", cancelStepSQL)
}

// requireOpen refuses the change if the task can never be in progress again.
func (op *operation) requireOpen(s *lockedStep) error {
	if op.state.Final() && op.state != TaskInError {
		return op.refuse(op.subject(), string(op.state), fmt.Sprintf("its step %q cannot run any more", s.name), op.taskHint(""))
	}
	return nil
}

// reopen sets a task in progress again if it had ended in error.
func (op *operation) reopen() error {
	if op.state != TaskInError {
		return nil
	}
	return op.moveTask(TaskInProgress, "reopened")
}

// moveStepSQL is a statement that changes a step's state and writes the audit row. It
// allows only the moves in StepTransitions. set is what else changes. Its parameters:
// $1 step, $2 new state, $3 now, $4 states it may come from, $5 reason, $6 actor.
func moveStepSQL(set string) string {
	return `
	with o as (select step_id, state from tasker.steps where step_id = $1 and state = any($4)),
	u as (
		update tasker.steps s set state = $2, ` + set + ` from o where s.step_id = o.step_id
		returning s.step_id, o.state as was, s.attempts)
	insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, actor, at)
	select step_id, was, $2, attempts, $5, $6, $3 from u`
}

var (
	retryStepSQL   = moveStepSQL("forgiven = attempts, losses = 0, crashes = 0, next_attempt_at = null, backoff_request_seconds = null, ended_at = null")
	resolveStepSQL = moveStepSQL("next_attempt_at = null, ended_at = $3")
	cancelStepSQL  = moveStepSQL("claimed_by = null, next_attempt_at = null, ended_at = $3")
)

func (op *operation) moveStep(s *lockedStep, to StepState, what, sql string) error {
	tag, err := op.tx.Exec(op.ctx, sql,
		s.id, string(to), op.now, sources(StepTransitions, to), op.reason(what), op.by.Actor)
	if err == nil && tag.RowsAffected() != 1 {
		err = op.refuse(op.subjectOf(s), string(s.state), fmt.Sprintf("it cannot become %s", to), "")
	}
	s.state = to
	return errors.Wrapf(err, "step %q", s.name)
}

// moveTaskSQL is the same for the task: $1 is the task. The trigger requeue puts a task
// that is opened again back into the queue.
const moveTaskSQL = `
	with o as (select task_id, state from tasker.tasks where task_id = $1 and state = any($4)),
	u as (
		update tasker.tasks k set state = $2, ended_at = case when $2 = 'in_progress' then null else $3::timestamptz end
		from o where k.task_id = o.task_id returning k.task_id, o.state as was),
	q as (delete from tasker.queue q using u where $2 <> 'in_progress' and q.task_id = u.task_id)
	insert into tasker.task_transitions (task_id, from_state, to_state, reason, actor, at)
	select task_id, was, $2, $5, $6, $3 from u`

func (op *operation) moveTask(to TaskState, what string) error {
	tag, err := op.tx.Exec(op.ctx, moveTaskSQL,
		op.taskID, string(to), op.now, sources(TaskTransitions, to), op.reason(what), op.by.Actor)
	if err == nil && tag.RowsAffected() != 1 {
		err = op.refuse(op.subject(), string(op.state), fmt.Sprintf("it cannot become %s", to), "")
	}
	op.state = to
	return errors.Wrapf(err, "task %d", op.taskID)
}

func (op *operation) reason(what string) string {
	if op.by.Reason == "" {
		return what + " by hand"
	}
	return what + " by hand: " + op.by.Reason
}

func (op *operation) subject() string { return fmt.Sprintf("task %d", op.taskID) }

func (op *operation) subjectOf(s *lockedStep) string {
	return fmt.Sprintf("step %q of task %d", s.name, op.taskID)
}

func (op *operation) refuse(subject, state, why, hint string) error {
	err := errorOf(ErrRefused, "%s is %s: %s", subject, state, why)
	if hint == "" {
		return err
	}
	return errors.WithHint(err, hint)
}

// taskHint says what a person may do with the task instead. open is the hint for a task
// that can still change.
func (op *operation) taskHint(open string) string {
	switch op.state {
	case TaskComplete, TaskResolvedManually:
		return "There is nothing left to do."
	case TaskCancelled:
		return "A cancelled task stays cancelled; submit it anew."
	default:
		return open
	}
}

// retryHint says what may be done with a task that has not ended, in place of a retry.
func (op *operation) retryHint() string {
	for _, s := range op.steps {
		if s.state == StepInError || s.state == StepWaitingForRetry {
			return "A single waiting or failed step can be retried by its name."
		}
	}
	return fmt.Sprintf("No step of it has failed, so there is nothing to retry: a `tasker-rb worker` goes on with it, or `tasker-rb run --task %d` here; "+
		"`tasker-rb tasks cancel %[1]d` ends it.", op.taskID)
}

// stepHints say what a person may do with a step in that state.
var stepHints = map[StepState]string{
	StepPending:          "It runs by itself once its parents are done; it can be resolved or cancelled.",
	StepInProgress:       "Wait until it ends, or cancel it.",
	StepWaitingForRetry:  "It can be retried at once, resolved or cancelled.",
	StepComplete:         "Its results stand.",
	StepCancelled:        "Submit the task anew.",
	StepResolvedManually: "Its results stand.",
}

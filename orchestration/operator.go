package orchestration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// By says who does something to a task, and why. Both are kept in the audit.
type By struct {
	Actor  string // required: a person's name, or a program's
	Reason string
}

// ErrRefused says that what was asked for makes no sense for the task or the step as it
// is. The message says why, the hint what can be done.
var ErrRefused = errors.New("refused")

// ErrStepNotFound says that the task has no step of that name.
var ErrStepNotFound = errors.New("there is no such step")

// RetryTask gives every failed step of a task that ended in error another go,
// with all its attempts, and sets the task in progress again.
func (e *Engine) RetryTask(ctx context.Context, taskID int64, by By) error {
	return e.byHand(ctx, taskID, by, func(h *hand) error { return h.retryTask() })
}

// RetryStep lets a failed step be tried again, and a waiting one at once. Its
// attempts so far do not count any more.
func (e *Engine) RetryStep(ctx context.Context, taskID int64, step string, by By) error {
	return e.byHand(ctx, taskID, by, func(h *hand) error { return h.onStep(step, h.retryStep) })
}

// ResolveStep ends a step that does not run with results of the caller's, a
// JSON document. Its children then run as if it had returned them.
func (e *Engine) ResolveStep(ctx context.Context, taskID int64, step string, results json.RawMessage, by By) error {
	if problem := unstorable(results); problem != "" || len(results) == 0 {
		if problem == "" {
			problem = "there are none"
		}
		return errors.WithHint(kindOf(ErrRefused, "the results of step %q cannot be kept: %s", step, problem),
			"Give a JSON document, such as {\"paid\": true}, or null.")
	}
	return e.byHand(ctx, taskID, by, func(h *hand) error {
		return h.onStep(step, func(s *handStep) error { return h.resolveStep(s, results) })
	})
}

// ResolveTask declares a task that ended in error settled. Its steps stay as
// they are.
func (e *Engine) ResolveTask(ctx context.Context, taskID int64, by By) error {
	return e.byHand(ctx, taskID, by, func(h *hand) error { return h.resolveTask() })
}

// CancelStep ends a step, and with it everything that depends on it. If its
// handler runs, it is interrupted.
func (e *Engine) CancelStep(ctx context.Context, taskID int64, step string, by By) error {
	return e.byHand(ctx, taskID, by, func(h *hand) error { return h.onStep(step, h.cancelStep) })
}

// CancelTask ends a task that is not complete and all its steps that have not
// ended. Handlers that run are interrupted, wherever they run, and what they
// did in their transactions is rolled back.
func (e *Engine) CancelTask(ctx context.Context, taskID int64, by By) error {
	return e.byHand(ctx, taskID, by, func(h *hand) error { return h.cancelTask() })
}

// byHand does one thing to one task in one transaction, and tells the engines.
func (e *Engine) byHand(ctx context.Context, taskID int64, by By, do func(*hand) error) error {
	by.Actor, by.Reason = storableText(strings.TrimSpace(by.Actor)), storableText(by.Reason)
	if by.Actor == "" {
		return errors.WithHint(kindOf(ErrRefused, "By.Actor is empty"), "Say who does it: the audit keeps it.")
	}
	for tries := 1; ; tries++ {
		err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
			h := &hand{ctx: ctx, tx: tx, by: by, now: e.now(), taskID: taskID}
			if err := h.load(); err != nil {
				return err
			}
			if err := do(h); err != nil {
				return err
			}
			return h.finish()
		})
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != pgerrDeadlock || tries == maxDeadlocks {
			return err
		}
	}
}

// Engines lock the steps of many tasks in one commit, in no order that a person's
// transaction could follow. When the two wait for each other, PostgreSQL ends one.
const (
	pgerrDeadlock = "40P01"
	maxDeadlocks  = 5
)

// hand is a task in the hands of a person: its rows are locked, the steps
// before the task, which is the order in which engines lock them too.
type hand struct {
	ctx    context.Context //nolint:containedctx // the call's own; a hand lives within one call
	tx     pgx.Tx
	by     By
	now    time.Time
	taskID int64
	state  TaskState
	steps  []*handStep
}

type handStep struct {
	id     int64
	name   string
	state  StepState
	number int
	last   *time.Time
}

func (h *hand) load() error {
	rows, err := h.tx.Query(h.ctx, `select step_id, name, state, attempts, last_attempted_at
		from tasker.steps where task_id = $1 order by step_id for no key update`, h.taskID)
	if err == nil {
		h.steps, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*handStep, error) {
			s := &handStep{}
			return s, row.Scan(&s.id, &s.name, &s.state, &s.number, &s.last)
		})
	}
	if err == nil {
		err = h.tx.QueryRow(h.ctx, `select state from tasker.tasks where task_id = $1 for no key update`, h.taskID).Scan(&h.state)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return errors.WithHint(errors.Wrapf(ErrTaskNotFound, "task %d", h.taskID), "`tasker-rb tasks list` shows the tasks of this database.")
	}
	return errors.Wrapf(err, "task %d", h.taskID)
}

// finish counts the change and wakes whoever has to know of it.
func (h *hand) finish() error {
	var batch pgx.Batch
	batch.Queue(`update tasker.tasks set revision = revision + 1, wake_at = least(wake_at, greatest(run_at, $2)) where task_id = $1`, h.taskID, h.now)
	batch.Queue(`select pg_notify($1, $2::bigint::text)`, channelTask, h.taskID)
	batch.Queue(`select pg_notify($1, '')`, channelWake)
	return errors.Wrapf(h.tx.SendBatch(h.ctx, &batch).Close(), "task %d", h.taskID)
}

func (h *hand) onStep(name string, do func(*handStep) error) error {
	names := make([]string, len(h.steps))
	for i, s := range h.steps {
		if s.name == name {
			return do(s)
		}
		names[i] = s.name
	}
	return errors.WithHintf(kindOf(ErrStepNotFound, "task %d has no step %q", h.taskID, name), "It has: %s.", strings.Join(names, ", "))
}

func (h *hand) retryTask() error {
	if h.state != TaskInError {
		return h.refuse(h.subject(), string(h.state), "only a task that ended in error can be retried", h.insteadOf("A single waiting or failed step can be retried by its name."))
	}
	for _, s := range h.steps {
		if s.state == StepInError {
			if err := h.forgive(s); err != nil {
				return err
			}
		}
	}
	return h.moveTask(TaskInProgress, "retried")
}

func (h *hand) retryStep(s *handStep) error {
	if err := h.reopens(s); err != nil {
		return err
	}
	if s.state != StepInError && s.state != StepWaitingForRetry {
		return h.refuse(h.subjectOf(s), string(s.state), "only a failed or a waiting step can be retried", whatElse[s.state])
	}
	if err := h.forgive(s); err != nil {
		return err
	}
	return h.reopen()
}

// forgive makes the attempts so far not count.
func (h *hand) forgive(s *handStep) error {
	return h.moveStep(s, StepPending, "retried", "forgiven = attempts, next_attempt_at = null, backoff_request_seconds = null, ended_at = null")
}

func (h *hand) resolveStep(s *handStep, results json.RawMessage) error {
	if err := h.reopens(s); err != nil {
		return err
	}
	switch s.state {
	case StepInProgress, StepComplete, StepCancelled, StepResolvedManually:
		return h.refuse(h.subjectOf(s), string(s.state), "only a step that is pending, waiting or failed can be resolved", whatElse[s.state])
	}
	_, err := h.tx.Exec(h.ctx, `insert into tasker.attempts (step_id, attempt, outcome, results, ended_at)
		values ($1, $2, 'resolved_manually', $3::json, $4)`, s.id, s.number+1, string(results), h.now)
	if err != nil {
		return errors.Wrapf(err, "the results of step %q", s.name)
	}
	if err := h.moveStep(s, StepResolvedManually, "resolved", "next_attempt_at = null, ended_at = $3"); err != nil {
		return err
	}
	return h.reopen()
}

func (h *hand) resolveTask() error {
	if h.state != TaskInError {
		return h.refuse(h.subject(), string(h.state), "only a task that ended in error can be resolved", h.insteadOf("A single step that does not run can be resolved by its name."))
	}
	return h.moveTask(TaskResolvedManually, "resolved")
}

func (h *hand) cancelStep(s *handStep) error {
	if h.state.Final() {
		return h.refuse(h.subject(), string(h.state), "a step can only be cancelled while its task has not ended", h.insteadOf("Retry, resolve or cancel the task."))
	}
	if s.state.Done() || s.state == StepCancelled {
		return h.refuse(h.subjectOf(s), string(s.state), "it has ended", whatElse[s.state])
	}
	return h.cancel(s)
}

func (h *hand) cancelTask() error {
	if h.state.Final() && h.state != TaskInError {
		return h.refuse(h.subject(), string(h.state), "it has ended", h.insteadOf(""))
	}
	for _, s := range h.steps {
		if s.state == StepPending || s.state == StepInProgress || s.state == StepWaitingForRetry {
			if err := h.cancel(s); err != nil {
				return err
			}
		}
	}
	return h.moveTask(TaskCancelled, "cancelled")
}

func (h *hand) cancel(s *handStep) error {
	if s.state == StepInProgress {
		_, err := h.tx.Exec(h.ctx, `insert into tasker.attempts (step_id, attempt, outcome, started_at, ended_at)
			values ($1, $2, 'cancelled', $3, $4)`, s.id, s.number, s.last, h.now)
		if err != nil {
			return errors.Wrapf(err, "cancelling step %q", s.name)
		}
	}
	return h.moveStep(s, StepCancelled, "cancelled", "claimed_by = null, next_attempt_at = null, ended_at = $3")
}

// reopens refuses tasks that nothing can set in progress again.
func (h *hand) reopens(s *handStep) error {
	if h.state.Final() && h.state != TaskInError {
		return h.refuse(h.subject(), string(h.state), fmt.Sprintf("its step %q cannot run any more", s.name), h.insteadOf(""))
	}
	return nil
}

// reopen sets a task in progress that had ended in error.
func (h *hand) reopen() error {
	if h.state != TaskInError {
		return nil
	}
	return h.moveTask(TaskInProgress, "reopened")
}

// moveStep changes the state and writes the audit row in one statement, which
// holds to the table of transitions. set is what else changes; $3 is the time.
func (h *hand) moveStep(s *handStep, to StepState, what, set string) error {
	tag, err := h.tx.Exec(h.ctx, `
		with o as (select step_id, state from tasker.steps where step_id = $1 and state = any($4)),
		u as (
			update tasker.steps s set state = $2, `+set+` from o where s.step_id = o.step_id
			returning s.step_id, o.state as was, s.attempts)
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, actor, at)
		select step_id, was, $2, attempts, $5, $6, $3 from u`,
		s.id, string(to), h.now, sources(StepTransitions, to), h.reason(what), h.by.Actor)
	if err == nil && tag.RowsAffected() != 1 {
		err = h.refuse(h.subjectOf(s), string(s.state), fmt.Sprintf("it cannot become %s", to), "")
	}
	s.state = to
	return errors.Wrapf(err, "step %q", s.name)
}

func (h *hand) moveTask(to TaskState, what string) error {
	tag, err := h.tx.Exec(h.ctx, `
		with o as (select task_id, state from tasker.tasks where task_id = $1 and state = any($4)),
		u as (
			update tasker.tasks k set state = $2, ended_at = case when $2 = 'in_progress' then null else $3::timestamptz end,
				wake_at = $3, held_by = null
			from o where k.task_id = o.task_id returning k.task_id, o.state as was)
		insert into tasker.task_transitions (task_id, from_state, to_state, reason, actor, at)
		select task_id, was, $2, $5, $6, $3 from u`,
		h.taskID, string(to), h.now, sources(TaskTransitions, to), h.reason(what), h.by.Actor)
	if err == nil && tag.RowsAffected() != 1 {
		err = h.refuse(h.subject(), string(h.state), fmt.Sprintf("it cannot become %s", to), "")
	}
	h.state = to
	return errors.Wrapf(err, "task %d", h.taskID)
}

func (h *hand) reason(what string) string {
	if h.by.Reason == "" {
		return what + " by hand"
	}
	return what + " by hand: " + h.by.Reason
}

func (h *hand) subject() string { return fmt.Sprintf("task %d", h.taskID) }

func (h *hand) subjectOf(s *handStep) string {
	return fmt.Sprintf("step %q of task %d", s.name, h.taskID)
}

func (h *hand) refuse(subject, state, why, hint string) error {
	err := kindOf(ErrRefused, "%s is %s: %s", subject, state, why)
	if hint == "" {
		return err
	}
	return errors.WithHint(err, hint)
}

// insteadOf is what a person may do with a task for which something makes no
// sense: open, if it can still change.
func (h *hand) insteadOf(open string) string {
	switch h.state {
	case TaskComplete, TaskResolvedManually:
		return "It is settled: there is nothing left to do for it."
	case TaskCancelled:
		return "It was cancelled for good; submit it anew."
	default:
		return open
	}
}

// whatElse is what a person may do with a step of that state.
var whatElse = map[StepState]string{
	StepPending:          "It runs by itself once its parents are done; it can be resolved or cancelled.",
	StepInProgress:       "Wait until it ends, or cancel it.",
	StepWaitingForRetry:  "It can be retried at once, resolved or cancelled.",
	StepComplete:         "Its results stand.",
	StepCancelled:        "Submit the task anew.",
	StepResolvedManually: "Its results stand.",
}

package orchestration

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// holds are the tasks that no worker may take, because a program runs them itself with
// [Engine.Run]. A hold is a lease, as a worker has: it ends with the task, when Run returns,
// or with the engine. It only keeps others away: the claims on steps decide what runs once.
type holds struct {
	mu    sync.Mutex
	tasks map[int64]bool // whether the hold has begun the task, and nobody has told so yet
}

func (h *holds) add(task int64, begun bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tasks == nil {
		h.tasks = map[int64]bool{}
	}
	h.tasks[task] = begun || h.tasks[task]
}

// begun reports once whether the hold has begun the task.
func (h *holds) begun(task int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	begun := h.tasks[task]
	if begun {
		h.tasks[task] = false
	}
	return begun
}

// remove reports whether the task was held.
func (h *holds) remove(task int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, held := h.tasks[task]
	delete(h.tasks, task)
	return held
}

func (h *holds) all() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]int64, 0, len(h.tasks))
	for task := range h.tasks {
		all = append(all, task)
	}
	return all
}

// holdSQL makes an engine ($2) the holder of a task ($1), if no living one has it, and takes
// it from pending to in_progress, as a lease does. It locks the task before its place in the
// queue. A task for later than now ($3) has to wait there: whoever frees a held task makes
// it due.
var holdSQL = `
	with t as (select task_id, state from tasker.tasks where task_id = $1 and run_at <= $3 for no key update),
	u as (
		update tasker.queue q set held_by = $2, begun = true, ready = true from t
		where q.task_id = t.task_id and (q.held_by is null or q.held_by = $2 or q.held_by not in (` + livingSQL + `))
		returning q.task_id, t.state),
	k as (
		update tasker.tasks k set state = 'in_progress', begun_at = $3 from u
		where u.state = 'pending' and k.task_id = u.task_id)
	select state = 'pending' from u`

// hold holds a task in the transaction that makes or changes it. A worker may have it
// already, and keeps it then.
func (e *Engine) hold(ctx context.Context, tx pgx.Tx, task int64) error {
	number, err := e.session.claimant(ctx)
	if err != nil {
		return err
	}
	e.holds.add(task, false) // before the commit: a worker of this engine would free it
	var begun bool
	err = tx.QueryRow(ctx, holdSQL, task, number, e.now()).Scan(&begun)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return errors.Wrapf(err, "holding task %d", task)
	}
	e.holds.add(task, begun)
	return nil
}

// endHoldSQL gives a task ($1) of an engine ($2) to the workers, and wakes them unless they
// are to wait: it is due at $3. If it waits for longer, the worker that takes it finds out.
const endHoldSQL = `
	with u as (
		update tasker.queue set held_by = null, due_at = coalesce($3::timestamptz, ` + atOnceSQL + `), ready = $3::timestamptz is null
		where task_id = $1 and held_by = $2
		returning ready)
	select pg_notify('` + channelWake + `', '') from u where ready`

// endHold frees a task that Run did not bring to its end: one that has ended has no place in
// the queue any more. The hold of an engine that cannot
// do so ends with it.
func (e *Engine) endHold(ctx context.Context, task int64) {
	if !e.holds.remove(task) {
		return
	}
	number, _ := e.session.current()
	if number == 0 || errors.Is(context.Cause(ctx), ErrDatabaseGone) {
		return
	}
	ctx, cancel := outliving(ctx, min(e.stopTimeout, giveBackAtEnd))
	defer cancel()
	var due *time.Time
	if e.cfg.HoldAfterRun > 0 {
		later := e.now().Add(e.cfg.HoldAfterRun)
		due = &later
	}
	var batch pgx.Batch
	batch.Queue(endHoldSQL, task, number, due)
	if err := e.own.short(ctx, &batch); err != nil {
		e.cfg.Logger.Warn("could not give a task to the workers; they take it when this program has ended", "task", task, "error", err)
	}
}

// holdingUntil ends the hold of a task when ctx ends, and not only when Run has returned: a
// handler may go on, and the program may be killed for it. The caller calls stop.
func (e *Engine) holdingUntil(ctx context.Context, task int64) (stop func()) {
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(ended)
		e.endHold(ctx, task)
	})
	return func() {
		if !cancel() {
			<-ended
		}
	}
}

// Hold keeps workers away from a task that this program runs with [Engine.Run], as
// Submission.Held does. A task that another engine runs is left to both, and so is a task
// for later.
func (e *Engine) Hold(ctx context.Context, taskID int64) error {
	return e.inOwnTx(ctx, func(tx pgx.Tx) error { return e.hold(ctx, tx, taskID) })
}

// RetryHere retries what failed and what waits in a task, as [Engine.RetryTask] and
// [Engine.RetryStep] do, in one transaction. It also holds the task, as Submission.Held does,
// for a program that runs it itself with [Engine.Run]. A task that another engine runs is
// left to both. The error is [ErrRefused] if the task has ended other than in error.
func (e *Engine) RetryHere(ctx context.Context, taskID int64, by By) error {
	return e.operate(ctx, taskID, by, func(op *operation) error {
		if op.state.Final() && op.state != TaskInError {
			return op.refuse(op.subject(), string(op.state), "it has ended", op.taskHint(""))
		}
		for _, s := range op.steps {
			if s.state != StepInError && s.state != StepWaitingForRetry {
				continue
			}
			if err := op.forgive(s); err != nil {
				return err
			}
		}
		if err := op.reopen(); err != nil {
			return err
		}
		return e.hold(ctx, op.tx, taskID)
	})
}

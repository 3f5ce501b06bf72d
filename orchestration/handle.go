package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// Outcome is the state of a task when the engine stops working on it.
type Outcome struct {
	State TaskState
	// Next is when to handle the task again: at its earliest retry, or at its
	// RunAt. It is zero when the task is final, and when other engines run its
	// last steps.
	Next time.Time
}

// Run looks at a task again after otherEnginePause while another engine runs its
// last steps. The first pause is shorter, and each pause doubles.
const (
	otherEnginePause      = 250 * time.Millisecond
	otherEngineFirstPause = 4 * time.Millisecond
)

// Run handles a task until it is final, waits for its retries, and returns its
// state. When ctx ends, it interrupts running handlers and releases their steps. The
// task then stays in progress and can be run again. Workers that Submission.Held kept away
// may take it then.
func (e *Engine) Run(ctx context.Context, taskID int64) (out Outcome, err error) {
	defer func() {
		if err == nil && out.State.Final() {
			e.holds.remove(taskID)
		}
		e.endHold(ctx, taskID)
	}()
	if e.cfg.HoldAfterRun > 0 {
		defer e.holdingUntil(ctx, taskID)()
	}
	changed, stop := e.watchers.watch(taskID)
	defer stop()
	pause := otherEngineFirstPause
	for {
		out, err = e.Handle(ctx, taskID)
		if err != nil || out.State.Final() {
			return out, err
		}
		due := make(chan struct{})
		var stopWaiting func()
		if out.Next.IsZero() { // no clock can skip what another engine does
			timer := time.AfterFunc(pause, func() { close(due) })
			stopWaiting = func() { timer.Stop() }
			pause = min(2*pause, otherEnginePause)
		} else {
			pause = otherEngineFirstPause
			now := e.now()
			if out.State == TaskPending { // for its RunAt; of other waits Handle has told
				e.cfg.OnEvent(Event{Kind: EventTaskWaiting, At: now, TaskID: taskID, TaskState: out.State, NextAttempt: out.Next})
			}
			stopWaiting = e.cfg.Clock.At(soonest(out.Next, now), TaskWait, func() { close(due) })
		}
		select {
		case <-due:
		case <-changed:
			stopWaiting()
		case <-ctx.Done():
			stopWaiting()
			return out, errors.Wrapf(context.Cause(ctx), "waiting for task %d", taskID)
		}
	}
}

// Handle runs every step of the task that can run, independent ones at the same
// time, and then the steps that these make ready. It returns when every open step
// waits: for a retry, a permit or another engine. If no step can ever run again, it
// ends the task.
//
// Two engines may handle the same task: each step runs in one of them. Handle
// reacts at once when a person changes the task.
func (e *Engine) Handle(ctx context.Context, taskID int64) (Outcome, error) {
	out, _, err := e.handle(ctx, handleOptions{taskID: taskID, begun: e.holds.begun(taskID)})
	return out, err
}

// handleOptions are the options of one call of Handle.
type handleOptions struct {
	taskID   int64
	stopping <-chan struct{} // closed when no more steps may start
	begun    bool            // the caller took the task from pending to in_progress
	settled  func()          // called once it is known how many threads the task needs
}

// handle is Handle with options. It also returns the task's revision on which the
// outcome is based.
func (e *Engine) handle(ctx context.Context, o handleOptions) (_ Outcome, revision int, _ error) {
	changed, stop := e.watchers.watch(o.taskID)
	defer stop()
	if o.settled == nil {
		o.settled = func() {}
	}
	for {
		t, err := e.load(ctx, o.taskID)
		if err != nil {
			return Outcome{}, 0, err
		}
		if t.state.Final() {
			return Outcome{State: t.state}, t.revision, e.leaveQueue(ctx, o)
		}
		if t.runAt.After(e.now()) && t.state == TaskPending {
			return Outcome{State: t.state, Next: t.runAt}, t.revision, nil
		}
		if t.state == TaskPending {
			begun, err := e.beginTask(ctx, t)
			if err != nil {
				return Outcome{}, 0, err
			}
			if !begun {
				continue
			}
			o.begun = true
		}
		if o.begun {
			e.tell(t, nil, Event{Kind: EventTaskStarted})
			o.begun = false
		}
		if t.hasDeadClaims() {
			if err := e.takeOver(ctx, t); err != nil {
				return Outcome{}, 0, err
			}
			continue
		}
		l := taskLoop{engine: e, task: t, changed: changed, stopping: o.stopping, results: make(chan attemptResult),
			admission: newAdmission(e), settled: o.settled}
		out, again, err := l.run(ctx)
		if err != nil || !again {
			return out, t.revision, err
		}
	}
}

const beginTaskSQL = `
	with u as (
		update tasker.tasks set state = 'in_progress', begun_at = $2 where task_id = $1 and state = 'pending'
		returning task_id),
	q as (update tasker.queue q set begun = true from u where q.task_id = u.task_id)
	select task_id from u`

// leaveQueueSQL takes a task that has ended ($1) out of the queue. It locks the task first:
// a person may open it again.
const leaveQueueSQL = `
	with k as (
		select task_id from tasker.tasks where task_id = $1 and state not in ('pending', 'in_progress') for no key update)
	delete from tasker.queue q using k where q.task_id = k.task_id`

// leaveQueue takes a task out of the queue that a worker has leased although it had ended.
// The end of a task does so, but a worker of an older version, or a person with SQL of
// their own, may have left it there.
func (e *Engine) leaveQueue(ctx context.Context, o handleOptions) error {
	if o.stopping == nil { // no worker's
		return nil
	}
	var batch pgx.Batch
	batch.Queue(leaveQueueSQL, o.taskID)
	return errors.Wrapf(e.own.short(ctx, &batch), "taking task %d out of the queue", o.taskID)
}

// beginTask takes the task from pending to in_progress. False means that the task
// has changed, and must be loaded anew.
func (e *Engine) beginTask(ctx context.Context, t *taskRun) (bool, error) {
	var begun int
	if err := e.group.exec(ctx, rowCount(&begun), beginTaskSQL, t.id, e.now()); err != nil {
		return false, errors.Wrapf(err, "beginning task %d", t.id)
	}
	if begun == 1 {
		t.state = TaskInProgress
		t.headJSON = nil
	}
	return begun == 1, nil
}

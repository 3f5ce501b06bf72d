package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
)

// Outcome is how far a task has come.
type Outcome struct {
	State TaskState
	// Next is when to handle the task again: the earliest retry, or the
	// task's run_at. Zero when it is final, or when other engines run what is
	// left of it.
	Next time.Time
}

// elsewhere is how long Run lets a task be whose last steps another engine
// runs; the first time it looks again sooner.
const (
	elsewhere      = 250 * time.Millisecond
	elsewhereFirst = 4 * time.Millisecond
)

// Run handles a task until it is final, waiting for its retries, and returns
// its state. When ctx ends, running handlers are interrupted and their steps
// released; the task stays in progress and can be run again.
func (e *Engine) Run(ctx context.Context, taskID int64) (Outcome, error) {
	changed, stop := e.hub.watch(taskID)
	defer stop()
	pause := elsewhereFirst
	for {
		out, err := e.Handle(ctx, taskID)
		if err != nil || out.State.Final() {
			return out, err
		}
		wait := pause
		pause = min(2*pause, elsewhere)
		if !out.Next.IsZero() {
			pause = elsewhereFirst
			wait = out.Next.Sub(e.now())
			e.cfg.OnEvent(Event{Kind: EventTaskWaiting, At: e.now(), TaskID: taskID, TaskState: out.State, NextAttempt: out.Next})
		}
		timer := time.NewTimer(max(wait, time.Millisecond))
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return out, errors.Wrapf(context.Cause(ctx), "waiting for task %d", taskID)
		}
	}
}

// Handle runs every step of the task that can run, independent ones at the
// same time, and those that become able to, until nothing can run before a
// wait is over. If that settles the task, it ends it.
//
// Two engines may handle one task: each step is run by one of them. What a
// person does to the task meanwhile is noticed at once.
func (e *Engine) Handle(ctx context.Context, taskID int64) (Outcome, error) {
	out, _, err := e.handleUntil(ctx, handling{taskID: taskID})
	return out, err
}

// handling is a call of Handle.
type handling struct {
	taskID   int64
	stopping <-chan struct{} // closed when no more steps are to start
	begun    bool            // the caller has begun the task
}

// handleUntil also returns the revision of the task that the outcome is about.
func (e *Engine) handleUntil(ctx context.Context, h handling) (_ Outcome, revision int, _ error) {
	changed, stop := e.hub.watch(h.taskID)
	defer stop()
	for {
		t, err := e.load(ctx, h.taskID)
		if err != nil {
			return Outcome{}, 0, err
		}
		if t.state.Final() {
			return Outcome{State: t.state}, t.revision, nil
		}
		if t.runAt.After(e.now()) && t.state == TaskPending {
			return Outcome{State: t.state, Next: t.runAt}, t.revision, nil
		}
		if t.state == TaskPending {
			begun, err := e.begin(ctx, t)
			if err != nil {
				return Outcome{}, 0, err
			}
			if !begun {
				continue
			}
			h.begun = true
		}
		if h.begun {
			e.tell(t, nil, Event{Kind: EventTaskStarted})
			h.begun = false
		}
		if t.hasDeadClaims() {
			if err := e.takeOver(ctx, t); err != nil {
				return Outcome{}, 0, err
			}
			continue
		}
		d := drive{Engine: e, t: t, changed: changed, stopping: h.stopping, results: make(chan finished)}
		out, again, err := d.run(ctx)
		if err != nil || !again {
			return out, t.revision, err
		}
	}
}

func (t *taskRun) hasDeadClaims() bool {
	for _, s := range t.steps {
		if s.state == StepInProgress && !s.claimAlive {
			return true
		}
	}
	return false
}

// apply takes over into memory what was recorded.
func (e *Engine) apply(t *taskRun, f finished) {
	s, o := f.step, f.outcome
	t.changed(s)
	s.claimedBy = 0
	if f.released {
		s.state = StepPending
		s.number--
		s.attempts--
		e.tell(t, s, Event{Kind: EventStepReleased})
		return
	}
	s.state, s.dueAt, s.asked = o.to, o.due, o.wait
	event := Event{Kind: EventStepCompleted, Duration: o.ended.Sub(o.started), Results: o.results, Err: o.err}
	switch o.to {
	case StepComplete:
		s.results = o.results
	case StepWaitingForRetry:
		event.Kind, event.NextAttempt = EventStepRetrying, o.due
	default:
		event.Kind = EventStepFailed
	}
	e.tell(t, s, event)
	if f.endedTask {
		t.state = TaskComplete
		e.tell(t, nil, Event{Kind: EventTaskEnded})
	}
}

// conclude ends the task, or says when to go on with it.
func (e *Engine) conclude(ctx context.Context, t *taskRun) (Outcome, bool, error) {
	if t.state.Final() {
		return Outcome{State: t.state}, false, nil
	}
	now := e.now()
	v := finalize(t.views(), now)
	if v.state == TaskInProgress {
		for _, s := range t.steps {
			if s.state == StepInProgress { // another engine's
				return Outcome{State: t.state}, false, nil
			}
		}
		return Outcome{State: t.state, Next: v.next}, v.next.IsZero(), nil
	}
	ended, err := e.ended(ctx, t, v.state, conclusion[v.state])
	if err != nil || !ended {
		return Outcome{}, true, err
	}
	t.state = v.state
	e.tell(t, nil, Event{Kind: EventTaskEnded})
	return Outcome{State: t.state}, false, nil
}

var conclusion = map[TaskState]string{
	TaskComplete:  "every step is done",
	TaskInError:   "a step failed, and nothing else can run",
	TaskCancelled: "a step was cancelled, and nothing else can run",
}

// tell fills in what every event says and hands it out.
func (e *Engine) tell(t *taskRun, s *stepRun, event Event) {
	event.At, event.TaskID, event.TaskState = e.now(), t.id, t.state
	if s != nil {
		event.Step, event.Attempt, event.RetryLimit = s.template.Name, s.attempts, s.limit
	}
	e.cfg.OnEvent(event)
}

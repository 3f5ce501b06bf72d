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

// elsewhere is how often Run looks at a task whose last steps another engine
// runs.
const elsewhere = 250 * time.Millisecond

// Run handles a task until it is final, waiting for its retries, and returns
// its state. When ctx ends, running handlers are interrupted and their steps
// released; the task stays in progress and can be run again.
func (e *Engine) Run(ctx context.Context, taskID int64) (Outcome, error) {
	for {
		out, err := e.Handle(ctx, taskID)
		if err != nil || out.State.Final() {
			return out, err
		}
		wait := elsewhere
		if !out.Next.IsZero() {
			wait = out.Next.Sub(e.now())
			e.cfg.OnEvent(Event{Kind: EventTaskWaiting, At: e.now(), TaskID: taskID, TaskState: out.State, NextAttempt: out.Next})
		}
		timer := time.NewTimer(max(wait, time.Millisecond))
		select {
		case <-timer.C:
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
// Two engines may handle one task: each step is run by one of them.
func (e *Engine) Handle(ctx context.Context, taskID int64) (Outcome, error) {
	for {
		t, err := e.load(ctx, taskID)
		if err != nil {
			return Outcome{}, err
		}
		if t.state.Final() {
			return Outcome{State: t.state}, nil
		}
		if t.runAt.After(e.now()) && t.state == TaskPending {
			return Outcome{State: t.state, Next: t.runAt}, nil
		}
		if t.state == TaskPending {
			begun, err := e.begin(ctx, t)
			if err != nil {
				return Outcome{}, err
			}
			if !begun {
				continue
			}
			e.tell(t, nil, Event{Kind: EventTaskStarted})
		}
		if t.hasDeadClaims() {
			if err := e.takeOver(ctx, t); err != nil {
				return Outcome{}, err
			}
			continue
		}
		out, again, err := e.drive(ctx, t)
		if err != nil || !again {
			return out, err
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

// drive runs the steps of a loaded task. again means that the task in memory
// is not what it is in the database any more, and must be loaded anew.
func (e *Engine) drive(ctx context.Context, t *taskRun) (out Outcome, again bool, err error) {
	results := make(chan finished)
	running := 0
	var failure error
	settled := func(f finished) {
		running--
		f.step.running = false
		switch {
		case errors.Is(f.err, errClaimLost):
			e.cfg.Logger.Warn("a result came after its claim was lost and was dropped", "task", t.id, "step", f.step.template.Name, "attempt", f.step.attempts)
			again = true
		case f.err != nil:
			failure = errors.CombineErrors(failure, f.err)
		default:
			e.apply(t, f)
		}
	}
	for {
		now := e.now()
		if failure == nil && !again && ctx.Err() == nil && !t.state.Final() {
			started, stale, err := e.startViable(ctx, t, now, e.parallel(t)-running, results)
			running += started
			again = again || stale
			failure = err
		}
		if running == 0 {
			break
		}
		select {
		case f := <-results:
			settled(f)
		case <-t.nextDue(now, running < e.parallel(t)):
		}
	}
	switch {
	case failure != nil:
		return Outcome{}, false, failure
	case ctx.Err() != nil:
		return Outcome{State: t.state}, false, errors.Wrapf(context.Cause(ctx), "task %d was interrupted", t.id)
	case again:
		return Outcome{}, true, nil
	}
	return e.conclude(ctx, t)
}

// parallel is how many steps of the task may run at once.
func (e *Engine) parallel(t *taskRun) int {
	if !t.template.Concurrent {
		return 1
	}
	return e.cfg.MaxParallelSteps
}

// startViable claims and starts up to room steps. stale means that another
// engine had taken some of them.
func (e *Engine) startViable(ctx context.Context, t *taskRun, now time.Time, room int, results chan<- finished) (started int, stale bool, err error) {
	views := t.views()
	var wanted []*stepRun
	unfinished := 0
	for i, s := range t.steps {
		if !s.state.Done() {
			unfinished++
		}
		if len(wanted) < room && viable(views, i, now) {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return 0, false, nil
	}
	got, claimant, err := e.claim(ctx, t, wanted)
	if err != nil {
		return 0, false, err
	}
	for _, s := range got {
		s.running = true
		e.tell(t, s, Event{Kind: EventStepStarted})
		x := e.execution(t, s)
		go func() { results <- e.perform(ctx, x, s, claimant, unfinished == 1) }()
	}
	return len(got), len(got) < len(wanted), nil
}

// nextDue fires when a step that waits for its next attempt could be started
// while others run.
func (t *taskRun) nextDue(now time.Time, room bool) <-chan time.Time {
	if !room {
		return nil
	}
	views := t.views()
	var next time.Time
	for i := range views {
		if startable(views, i) && (next.IsZero() || views[i].dueAt.Before(next)) {
			next = views[i].dueAt
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(max(next.Sub(now), time.Millisecond))
}

// apply takes over into memory what was recorded.
func (e *Engine) apply(t *taskRun, f finished) {
	s, o := f.step, f.outcome
	t.changed(s)
	s.claimedBy = 0
	if f.released {
		s.state = StepPending
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

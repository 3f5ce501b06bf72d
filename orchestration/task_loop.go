package orchestration

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
)

// taskLoop runs the steps of one loaded task. Only its goroutine touches the task;
// attempts run in goroutines of their own and send their results.
type taskLoop struct {
	engine   *Engine
	task     *taskRun
	changed  <-chan struct{} // another party changed the task
	stopping <-chan struct{} // closed when no more steps may start
	results  chan attemptResult

	admission      *admission
	settled        func()          // called once what can be claimed now is claimed, or waits; may be nil
	claimed        []claimedStep   // claimed with a success, and not started yet
	stale          bool            // the database has a newer version of the task
	permitRejected bool            // a step got no permit, so another step may have room
	full           <-chan struct{} // closed when a claim may be made; nil if none waits
	room           roomWait        // the loop's place among those that wait for that
	failure        error           // ends the loop after the running attempts have ended
}

// run returns when no step runs and none can start. again means that the task must
// be loaded anew.
func (l *taskLoop) run(ctx context.Context) (out Outcome, again bool, err error) {
	defer l.admission.leave()
	defer l.engine.memory.leave(&l.room)
	for {
		select {
		case <-l.changed: // before more steps start
			l.stale = true
		default:
		}
		if l.stale && l.failure == nil {
			l.failure = l.refresh(ctx)
			l.stale = false
		}
		now := l.engine.now()
		l.full = nil
		starting := l.failure == nil && ctx.Err() == nil && !l.isStopping()
		l.change(func() { l.task.closed = !starting })
		l.startClaimed(ctx, starting)
		if starting && l.task.state == TaskInProgress {
			l.failure = l.startViable(ctx, now)
			if (l.stale || l.permitRejected) && l.failure == nil {
				continue
			}
		} else {
			l.admission.leave()
		}
		l.settled()
		if l.full == nil {
			l.engine.memory.leave(&l.room)
		}
		if l.task.agenda.running == 0 && l.full == nil && !l.admission.waits() {
			break
		}
		if l.gaveUp() {
			return l.postponed(), false, nil
		}
		l.await(ctx, now, starting)
	}
	switch {
	case l.failure != nil:
		return Outcome{}, false, l.failure
	case ctx.Err() != nil:
		return Outcome{State: l.task.state}, false, errors.Wrapf(context.Cause(ctx), "task %d was interrupted", l.task.id)
	case l.task.hasDeadClaims():
		return Outcome{}, true, nil
	case l.task.state == TaskPending: // the server has lost that the task was begun
		return Outcome{}, true, nil
	}
	out, again, err = l.endOrWait(ctx)
	if again && l.isStopping() { // another worker runs what is left
		return Outcome{State: l.task.state}, false, err
	}
	return out, again, err
}

// await waits until an attempt ends, a retry becomes due, or another party changes
// the task. starting says that more steps may start. If steps are ready and too many
// bytes of results are in memory, it also waits for room.
func (l *taskLoop) await(ctx context.Context, now time.Time, starting bool) {
	var due chan struct{}
	if starting && l.task.agenda.running < l.parallel() {
		if next := l.task.nextDue(now); !next.IsZero() {
			due = make(chan struct{})
			defer l.engine.cfg.Clock.At(soonest(next, now), BusyWait, func() { close(due) })()
		}
	}
	var ended, stopping <-chan struct{}
	if l.full != nil || l.admission.waits() {
		ended, stopping = ctx.Done(), l.stopping
	}
	var patience <-chan time.Time
	if wait, limited := l.admission.patience(l.isIdle()); limited {
		timer := time.NewTimer(max(wait, time.Millisecond))
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case r := <-l.results:
		l.noteResult(r)
	case <-l.full:
	case <-l.admission.woken:
	case <-patience:
	case <-ended:
	case <-stopping:
	case <-l.changed:
		l.stale = true
	case <-due:
	}
}

// isStopping reports whether the worker stops.
func (l *taskLoop) isStopping() bool {
	select {
	case <-l.stopping:
		return true
	default:
		return false
	}
}

// parallel is how many steps of the task may run at the same time.
func (l *taskLoop) parallel() int {
	if !l.task.template.Concurrent {
		return 1
	}
	return l.engine.cfg.MaxParallelSteps
}

// startViable claims and starts as many steps as may run now.
func (l *taskLoop) startViable(ctx context.Context, now time.Time) error {
	l.permitRejected = false
	l.admission.begin()
	defer l.admission.end()
	wanted := l.wanted(now)
	if len(wanted) == 0 {
		return nil
	}
	claimed, err := l.claimWanted(ctx, wanted)
	l.change(func() {
		for _, s := range wanted {
			l.task.agenda.settle(s.index)
			if !slices.Contains(claimed, s) {
				l.engine.leaveAdmission(s)
			}
		}
		l.task.agenda.running += len(claimed)
	})
	for _, s := range claimed {
		l.start(ctx, s)
	}
	return err
}

// wanted are the steps to claim now. They are promised, so that no success takes their
// claims along meanwhile.
func (l *taskLoop) wanted(now time.Time) (wanted []*stepRun) {
	t := l.task
	t.mu.Lock()
	defer t.mu.Unlock()
	room := t.agenda.room(l.parallel())
	for _, i := range t.agenda.open {
		if len(wanted) >= room {
			break
		}
		if s := t.steps[i]; !s.dueAt.After(now) && !t.agenda.promised[i] && l.admission.admit(s) {
			s.endPermitWait()
			wanted = append(wanted, s)
		}
	}
	for _, s := range wanted {
		t.agenda.promise(s.index)
	}
	return wanted
}

// claimWanted claims the steps if that is possible now. If not, or if they have changed, it
// notes why.
func (l *taskLoop) claimWanted(ctx context.Context, wanted []*stepRun) ([]*stepRun, error) {
	if wanted = l.takeRoom(wanted); len(wanted) == 0 {
		return nil, nil
	}
	defer func() {
		for _, s := range wanted {
			if s.state != StepInProgress {
				l.giveRoomBack(s)
			}
		}
	}()
	claimant, err := l.engine.session.claimant(ctx)
	if err != nil {
		return nil, err
	}
	if claimant != l.task.number { // what was read under another number may be ahead of the database
		l.stale = true
		return nil, nil
	}
	for _, s := range wanted {
		l.engine.watchers.beginAttempt(s.id, claimant)
	}
	claimed, err := l.claim(ctx, wanted, claimant)
	for _, s := range wanted {
		if s.state != StepInProgress {
			l.engine.watchers.endAttempt(s.id, claimant)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, s := range wanted {
		switch {
		case s.waitsForPermit:
			l.permitRejected = true
		case s.state != StepInProgress:
			l.stale = true
		}
	}
	return claimed, nil
}

// start starts the attempt of a claimed step in a goroutine of its own. The step counts as
// running already.
func (l *taskLoop) start(ctx context.Context, s *stepRun) {
	l.change(func() { s.running, s.interrupted = true, false })
	claimant := s.claimedBy
	l.engine.tell(l.task, s, Event{Kind: EventStepStarted})
	handlerCtx, interrupt := context.WithCancelCause(ctx)
	s.interrupt = interrupt
	x := l.execution(s)
	x.interrupt, x.limit = interrupt, s.template.Timeout
	a := &attempt{
		engine: l.engine, x: x, step: s, claimant: claimant, interrupt: interrupt, stopping: l.stopping,
		succeed: func(ctx context.Context, results int) *succession { return l.succeed(ctx, s, claimant, results) },
		report: func(r attemptResult) {
			l.engine.permitFreed(ctx, s)
			l.engine.company.leave()
			l.results <- r
		},
	}
	go func() {
		growStack(0)
		a.perform(ctx, handlerCtx)
	}()
}

// noteResult takes note of an ended attempt.
func (l *taskLoop) noteResult(r attemptResult) {
	r.step.interrupt(nil)
	l.change(func() {
		r.step.running, r.step.returned = false, 0
		l.task.agenda.running--
		if r.err == nil {
			l.noteOutcome(r)
		}
		l.task.agenda.finished(r.step)
	})
	l.settle(r.follows)
	switch {
	case errors.Is(r.err, errClaimLost) && r.step.interrupted:
		l.stale = true // a person cancelled the step, and refresh interrupted it
	case errors.Is(r.err, errClaimLost):
		l.engine.cfg.Logger.Warn("a result arrived after its claim was lost, and was dropped",
			"task", l.task.id, "step", r.step.template.Name, "attempt", r.step.attempts, "class", r.step.template.HandlerClass)
		l.stale = true
	case r.err != nil:
		l.failure = errors.CombineErrors(l.failure, r.err)
	default:
		l.tellOutcome(r)
	}
}

// change changes the task in memory.
func (l *taskLoop) change(do func()) {
	l.task.mu.Lock()
	defer l.task.mu.Unlock()
	do()
}

// noteOutcome changes the task in memory as its rows were changed.
func (l *taskLoop) noteOutcome(r attemptResult) {
	s, o := r.step, r.outcome
	if r.released {
		l.noteRelease(s)
		return
	}
	s.claimedBy, s.claimAlive = 0, false
	s.state, s.dueAt, s.requestedWait = o.to, o.due, o.wait
	if o.loss {
		s.losses++
	}
	if o.crash {
		s.crashes++
	}
	s.failure = nil
	switch o.to {
	case StepComplete:
		l.task.setResults(s, resultOf(o.results))
	case StepInError:
		s.failure = o.err
	}
	if r.endedTask {
		l.task.state = TaskComplete
	}
	l.task.noteChange(s)
}

// noteRelease takes note that a claim was undone.
func (l *taskLoop) noteRelease(s *stepRun) {
	s.state, s.claimedBy, s.claimAlive = StepPending, 0, false
	s.attemptNumber--
	s.attempts--
	l.task.noteChange(s)
}

// tellOutcome reports the outcome to Config.OnEvent.
func (l *taskLoop) tellOutcome(r attemptResult) {
	s, o := r.step, r.outcome
	if r.released {
		l.engine.tell(l.task, s, Event{Kind: EventStepReleased, Duration: r.ran})
		return
	}
	event := Event{Kind: EventStepCompleted, Duration: o.ended.Sub(o.started), Results: o.results, Err: o.err, Lost: o.loss}
	switch o.to {
	case StepComplete:
	case StepWaitingForRetry:
		event.Kind, event.NextAttempt = EventStepRetrying, o.due
	default:
		event.Kind = EventStepFailed
	}
	l.engine.tell(l.task, s, event)
	if r.endedTask {
		l.engine.tell(l.task, nil, Event{Kind: EventTaskEnded})
	}
}

// refresh loads the changes of other parties, and interrupts the running steps whose
// claim this engine lost.
func (l *taskLoop) refresh(ctx context.Context) error {
	loading, cancel := outliving(ctx, l.engine.stopTimeout)
	defer cancel()
	fresh, err := l.engine.load(loading, l.task.id)
	if err == nil && !l.task.isSame(fresh) {
		err = errors.Wrapf(ErrTaskNotFound, "the server has lost task %d, and has given its number to another one", l.task.id)
	}
	if errors.Is(err, ErrTaskNotFound) {
		l.interruptAll()
	}
	if err != nil {
		return err
	}
	var events []func()
	l.change(func() { events = l.adopt(fresh) })
	for _, tell := range events {
		tell()
	}
	return nil
}

// adopt takes over what was read anew. It returns what to tell about it.
func (l *taskLoop) adopt(fresh *taskRun) (events []func()) {
	t := l.task
	if t.state != fresh.state {
		t.state, t.headJSON = fresh.state, nil
		if t.state.Final() {
			events = append(events, func() { l.engine.tell(t, nil, Event{Kind: EventTaskEnded}) })
		}
	}
	another := t.number != fresh.number // then the database may have lost what was remembered
	t.revision, t.number = fresh.revision, fresh.number
	for i, s := range t.steps {
		s.endPermitWait()
		f := fresh.steps[i]
		ours := f.state == StepInProgress && f.claimedBy == s.claimedBy && f.attemptNumber == s.attemptNumber
		switch {
		case s.running && !ours:
			s.interrupted = true
			s.interrupt(errClaimLost)
		case !s.running && (another || !ours && s.state == StepInProgress || s.differs(f)):
			cancelled := f.state == StepCancelled && s.state != StepCancelled
			s.stepView, s.attemptNumber, s.lastAttempted, s.requestedWait = f.stepView, f.attemptNumber, f.lastAttempted, f.requestedWait
			s.claimedBy, s.claimAlive, s.crashes = f.claimedBy, f.claimAlive, f.crashes
			t.setResults(s, f.results)
			t.noteChange(s)
			if cancelled {
				events = append(events, func() { l.engine.tell(t, s, Event{Kind: EventStepCancelled}) })
			}
		}
	}
	return events
}

// interruptAll interrupts the running steps of a task that is gone, and their claims with it.
func (l *taskLoop) interruptAll() {
	for _, s := range l.task.steps {
		if s.running {
			s.interrupted = true
			s.interrupt(errClaimLost)
		}
	}
}

// isSame reports whether fresh is this task, read again. A server that has lost commits
// gives the numbers of lost tasks and steps a second time.
func (t *taskRun) isSame(fresh *taskRun) bool {
	return fresh.digest == t.digest && fresh.head.createdAt.Equal(t.head.createdAt) &&
		slices.EqualFunc(fresh.steps, t.steps, func(f, s *stepRun) bool { return f.id == s.id })
}

// differs reports whether the step was read otherwise than it is in memory.
func (s *stepRun) differs(read *stepRun) bool {
	return read.state != s.state || read.attemptNumber != s.attemptNumber || read.attempts != s.attempts || read.losses != s.losses ||
		read.claimAlive != s.claimAlive
}

// endOrWait ends the task, or says when to continue with it. again means that the
// task must be loaded anew.
func (l *taskLoop) endOrWait(ctx context.Context) (out Outcome, again bool, err error) {
	t := l.task
	if t.state.Final() {
		return Outcome{State: t.state}, false, nil
	}
	v := finalize(t.views(), l.engine.now())
	if v.state == TaskInProgress {
		for _, s := range t.steps {
			if s.state == StepInProgress { // under another engine
				return Outcome{State: t.state}, false, nil
			}
		}
		if !v.next.IsZero() {
			l.engine.tell(t, nil, Event{Kind: EventTaskWaiting, NextAttempt: v.next})
		}
		return Outcome{State: t.state, Next: v.next}, v.next.IsZero(), nil
	}
	ended, err := l.endTask(ctx, v.state)
	if err != nil || !ended {
		return Outcome{}, true, err
	}
	t.state = v.state
	l.engine.tell(t, nil, Event{Kind: EventTaskEnded})
	return Outcome{State: t.state}, false, nil
}

// seenColumns are the steps as the decision about the task has seen them.
var seenColumns = columns[*stepRun]{
	newColumn("step_id", "bigint", func(s *stepRun) int64 { return s.id }),
	newColumn("state", "text", func(s *stepRun) string { return string(s.state) }),
	newColumn("attempts", "int", func(s *stepRun) int32 { return int32(s.attemptNumber) }),
}

// endTaskSQL ends a task unless its revision has changed, or one of its steps is not as
// it was seen: the memory of an engine may be ahead of a server that has lost commits.
//
// $1 task, $2 states it may come from, $3 new state, $4 reason, $5 now, $6 revision;
// seenColumns follow.
var endTaskSQL = `
	with seen as materialized (
		select * from ` + seenColumns.unnest("i", 7) + `),
	o as (select task_id, state from tasker.tasks where task_id = $1 and state = any($2) and revision = $6 for no key update),
	u as (
		update tasker.tasks k set state = $3, ended_at = $5 from o
		where k.task_id = o.task_id and not exists (
			select 1 from tasker.steps s where s.task_id = $1 and not exists (
				select 1 from seen where seen.step_id = s.step_id and seen.state = s.state and seen.attempts = s.attempts))
		returning k.task_id, o.state as was),
	w as (
		insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
		select task_id, was, $3, $4, $5 from u where $3 <> 'complete'),
	q as (delete from tasker.queue q using u where q.task_id = u.task_id)
	select task_id from u`

// endTask records that the whole task has ended. False means that the task has
// changed, and must be loaded anew.
func (l *taskLoop) endTask(ctx context.Context, to TaskState) (bool, error) {
	t := l.task
	var ended int
	args := seenColumns.args(t.steps, t.id, sources(TaskTransitions, to), string(to), endReasons[to], l.engine.now(), t.revision)
	err := l.engine.group.exec(ctx, rowCount(&ended), endTaskSQL, args...)
	return ended == 1, errors.Wrapf(err, "ending task %d", t.id)
}

// endReasons are the audit's reasons for the end of a task.
var endReasons = map[TaskState]string{
	TaskComplete:  "", // tasker.task_history says it
	TaskInError:   "a step failed, and nothing else can run",
	TaskCancelled: "a step was cancelled, and nothing else can run",
}

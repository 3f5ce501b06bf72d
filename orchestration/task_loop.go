package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
)

// drive runs the steps of one loaded task. Its goroutine alone touches the
// task; those that run attempts report to it.
type drive struct {
	*Engine
	t        *taskRun
	changed  <-chan struct{} // the task was changed by someone else
	stopping <-chan struct{} // closed when no more steps are to start
	results  chan finished

	running int
	stale   bool  // the task in memory is not what it is in the database
	refused bool  // a step found no slot, so that there may be room for others
	failure error // what ends the drive once the running attempts have
}

// run returns once nothing runs and nothing can. again means that the task
// must be loaded anew.
func (d *drive) run(ctx context.Context) (out Outcome, again bool, err error) {
	for {
		if d.stale && d.failure == nil {
			d.failure = d.refresh(ctx)
			d.stale = false
		}
		now := d.now()
		starting := d.failure == nil && ctx.Err() == nil && !d.drained()
		if starting && !d.t.state.Final() {
			d.failure = d.startViable(ctx, now)
			if (d.stale || d.refused) && d.failure == nil {
				continue
			}
		}
		if d.running == 0 {
			break
		}
		d.await(now, starting)
	}
	switch {
	case d.failure != nil:
		return Outcome{}, false, d.failure
	case ctx.Err() != nil:
		return Outcome{State: d.t.state}, false, errors.Wrapf(context.Cause(ctx), "task %d was interrupted", d.t.id)
	case d.t.hasDeadClaims():
		return Outcome{}, true, nil
	}
	out, again, err = d.conclude(ctx, d.t)
	if again && d.drained() { // something could run, and is left to others
		return Outcome{State: d.t.state}, false, err
	}
	return out, again, err
}

// await waits for an attempt to end, for a retry to become due, or for someone
// else to change the task. starting says that more steps may be started.
func (d *drive) await(now time.Time, starting bool) {
	var due <-chan time.Time
	if next := d.t.nextDue(); starting && d.running < d.parallel() && !next.IsZero() {
		timer := time.NewTimer(max(next.Sub(now), time.Millisecond))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case f := <-d.results:
		d.settle(f)
	case <-d.changed:
		d.stale = true
	case <-due:
	}
}

// drained reports whether the worker stops.
func (d *drive) drained() bool {
	select {
	case <-d.stopping:
		return true
	default:
		return false
	}
}

// settle takes note of an attempt that has ended.
func (d *drive) settle(f finished) {
	d.running--
	f.step.running = false
	f.step.interrupt(nil)
	switch {
	case errors.Is(f.err, errClaimLost) && f.step.taken:
		d.stale = true // somebody cancelled it, and the handler was interrupted for that
	case errors.Is(f.err, errClaimLost):
		d.cfg.Logger.Warn("a result came after its claim was lost and was dropped",
			"task", d.t.id, "step", f.step.template.Name, "attempt", f.step.attempts)
		d.stale = true
	case f.err != nil:
		d.failure = errors.CombineErrors(d.failure, f.err)
	default:
		d.apply(d.t, f)
	}
}

// parallel is how many steps of the task may run at once.
func (d *drive) parallel() int {
	if !d.t.template.Concurrent {
		return 1
	}
	return d.cfg.MaxParallelSteps
}

// startViable claims and starts as many steps as there is room for.
func (d *drive) startViable(ctx context.Context, now time.Time) error {
	d.refused = false
	views := d.t.views()
	var wanted []*stepRun
	unfinished := 0
	for i, s := range d.t.steps {
		if !s.state.Done() {
			unfinished++
		}
		if d.running+len(wanted) < d.parallel() && viable(views, i, now) {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	for _, s := range wanted {
		d.hub.begin(s.id)
	}
	got, claimant, err := d.claim(ctx, d.t, wanted)
	for _, s := range wanted {
		if s.state != StepInProgress {
			d.hub.end(s.id)
		}
	}
	if err != nil {
		return err
	}
	for _, s := range wanted {
		switch {
		case s.slotless:
			d.refused = true
		case s.state != StepInProgress:
			d.stale = true
		}
	}
	for _, s := range got {
		d.start(ctx, s, claimant, unfinished == 1)
	}
	return nil
}

func (d *drive) start(ctx context.Context, s *stepRun, claimant int64, last bool) {
	s.running, s.taken = true, false
	d.running++
	d.tell(d.t, s, Event{Kind: EventStepStarted})
	handling, interrupt := context.WithCancelCause(ctx)
	s.interrupt = interrupt
	a := &attempt{
		Engine: d.Engine, x: d.execution(d.t, s), step: s, claimant: claimant, last: last, interrupt: interrupt,
		report: func(f finished) {
			d.slotFreed(ctx, s)
			d.results <- f
		},
	}
	go func() {
		growStack(0)
		a.perform(ctx, handling)
	}()
}

// refresh takes over into memory what others did to the task, and interrupts
// the steps that they took away.
func (d *drive) refresh(ctx context.Context) error {
	loading, cancel := settling(ctx, d.Engine.settle)
	defer cancel()
	fresh, err := d.load(loading, d.t.id)
	if err != nil {
		return err
	}
	t := d.t
	if t.state != fresh.state {
		t.state, t.headJSON = fresh.state, nil
		if t.state.Final() {
			d.tell(t, nil, Event{Kind: EventTaskEnded})
		}
	}
	t.revision = fresh.revision
	for i, s := range t.steps {
		s.resume()
		f := fresh.steps[i]
		ours := f.state == StepInProgress && f.claimedBy == s.claimedBy && f.number == s.number
		switch {
		case s.running && !ours:
			s.taken = true
			s.interrupt(errClaimLost)
		case !s.running && (f.state != s.state || f.number != s.number || f.attempts != s.attempts):
			cancelled := f.state == StepCancelled
			s.stepView, s.number, s.lastAttempted, s.asked = f.stepView, f.number, f.lastAttempted, f.asked
			s.claimedBy, s.claimAlive, s.results = f.claimedBy, f.claimAlive, f.results
			t.changed(s)
			if cancelled {
				d.tell(t, s, Event{Kind: EventStepCancelled})
			}
		}
	}
	return nil
}

// nextDue is when the next step that waits could be started.
func (t *taskRun) nextDue() time.Time {
	views := t.views()
	var next time.Time
	for i := range views {
		if startable(views, i) && (next.IsZero() || views[i].dueAt.Before(next)) {
			next = views[i].dueAt
		}
	}
	return next
}

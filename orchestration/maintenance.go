package orchestration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// maintenance is what a worker does at intervals, besides running tasks: it frees the
// tasks of dead workers, sets the clock, wakes the worker for tasks that fall due, and
// prunes ended tasks.
type maintenance struct {
	engine *Engine
	poll   time.Duration
	wake   chan struct{} // receives a value when the worker should look for tasks

	mu      sync.Mutex
	dueAt   time.Time // when it wakes the worker; zero if it does not
	stopDue func()
	pauseAt time.Time // the same in real time, after an error or a lock
	pause   *time.Timer

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// startMaintenance does a first round and then, until stop, one every poll. It wakes
// the worker every poll even while a round waits for a lock, and again after a round
// that freed tasks.
func startMaintenance(ctx context.Context, e *Engine, poll, keep time.Duration) *maintenance {
	m := &maintenance{engine: e, poll: poll, wake: make(chan struct{}, 1), stopDue: func() {}}
	m.pause = time.AfterFunc(poll, m.endPause)
	ctx, m.cancel = context.WithCancel(ctx)
	m.round(ctx)
	m.everyPoll(ctx, func() { signal(m.wake) })
	rounds, prune := 0, make(chan struct{}, 1)
	m.everyPoll(ctx, func() {
		if m.round(ctx) > 0 {
			signal(m.wake)
		}
		if rounds++; rounds%pruneEvery == pruneFirst {
			signal(prune)
		}
	})
	m.running.Go(func() { m.prune(ctx, keep, prune) })
	return m
}

// everyPoll calls do every poll in a goroutine of its own.
func (m *maintenance) everyPoll(ctx context.Context, do func()) {
	m.running.Go(func() {
		ticker := time.NewTicker(m.poll)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				do()
			case <-ctx.Done():
				return
			}
		}
	})
}

// stop ends the rounds and waits for the current one.
func (m *maintenance) stop() {
	m.cancel()
	m.mu.Lock()
	m.stopDue()
	m.pause.Stop()
	m.mu.Unlock()
	m.running.Wait()
}

// freeTasksSQL frees the tasks whose worker is gone. They are due at once. A task that
// another transaction has locked is left to the next round.
var freeTasksSQL = `
	update tasker.queue set held_by = null, due_at = ` + atOnceSQL + `
	where task_id in (
		select task_id from tasker.queue
		where begun and held_by is not null and held_by not in (` + livingSQL + `)
		order by task_id for no key update skip locked)
	returning task_id`

// round sets the clock, declares engines dead, and frees their tasks. It returns how
// many it freed.
func (m *maintenance) round(ctx context.Context) (freed int) {
	var batch pgx.Batch
	var dead []deadEngine
	m.engine.clock.queueReading(&batch)
	m.engine.queueDead(&batch, &dead)
	err := m.engine.own.short(ctx, &batch)
	if err == nil {
		m.engine.endBackends(ctx, dead, m.engine.own.short) // before their tasks are looked at: they hold row locks
		batch = pgx.Batch{}
		batch.Queue(freeTasksSQL).Query(rowCount(&freed))
		err = m.engine.own.short(ctx, &batch)
	}
	switch {
	case err != nil && ctx.Err() == nil:
		m.engine.cfg.Logger.Warn("could not look for the tasks of dead workers; trying again", "error", err)
	case freed > 0:
		m.engine.cfg.Logger.Warn("freed the tasks of dead workers", "tasks", freed)
	}
	return freed
}

// bringInSQL makes ready what has fallen due, up to $2 tasks. It returns how many, and
// when the next task falls due, if that is before $3. $1 is now.
const bringInSQL = `
	with d as (
		select task_id from tasker.queue where not ready and due_at <= $1
		order by due_at limit $2 for no key update skip locked),
	u as (update tasker.queue q set ready = true from d where q.task_id = d.task_id returning q.task_id)
	select (select count(*) from u), (select min(due_at) from tasker.queue where not ready and due_at > $1 and due_at < $3)`

// bringInMost is how many tasks one statement makes ready.
const bringInMost = 1000

// bringIn makes ready the tasks that have fallen due, and sets the timer for the next.
func (m *maintenance) bringIn(ctx context.Context) {
	for {
		var n int
		var next *time.Time
		var batch pgx.Batch
		now := m.engine.now()
		batch.Queue(bringInSQL, now, bringInMost, now.Add(m.horizon())).QueryRow(func(row pgx.Row) error { return row.Scan(&n, &next) })
		err := m.engine.own.short(ctx, &batch)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				m.engine.cfg.Logger.Warn("could not look for tasks that have fallen due; trying again", "error", err)
			}
			m.wakeIn(min(m.poll, retryPause))
			return
		case n == bringInMost:
			continue
		case next != nil:
			m.wakeAt(*next)
		}
		return
	}
}

// retryPause is the pause after an error of the database.
const retryPause = time.Second

// wakeAt wakes the worker at that time, by the engine's clock. Of several times, the
// earliest counts.
func (m *maintenance) wakeAt(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dueAt.IsZero() || t.Before(m.dueAt) {
		m.arm(t, BusyWait)
	}
}

// arm sets the timer. The caller must hold m.mu.
func (m *maintenance) arm(t time.Time, w Wait) {
	m.stopDue()
	m.dueAt = t
	m.stopDue = m.engine.cfg.Clock.At(t, w, m.fallDue)
}

// tellIdle tells a clock of tests whether the worker has anything to do before the timer.
func (m *maintenance) tellIdle(idle bool) {
	w := BusyWait
	if idle {
		w = WorkerWait
	}
	if m.engine.cfg.Clock == m.engine.clock {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dueAt.IsZero() {
		m.arm(m.dueAt, w)
	}
}

// horizon is how far ahead the timer is set. Whatever comes later is found with a later
// poll, unless the clock does not go at the pace of the polls.
func (m *maintenance) horizon() time.Duration {
	if m.engine.cfg.Clock == m.engine.clock {
		return m.poll
	}
	return 100 * 365 * 24 * time.Hour
}

// wakeIn wakes the worker after a pause in real time. Of several pauses, the one that ends
// first counts.
func (m *maintenance) wakeIn(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := time.Now().Add(d); m.pauseAt.IsZero() || at.Before(m.pauseAt) {
		m.pauseAt = at
		m.pause.Reset(d)
	}
}

// endPause wakes the worker.
func (m *maintenance) endPause() {
	m.mu.Lock()
	m.pauseAt = time.Time{}
	m.mu.Unlock()
	signal(m.wake)
}

// fallDue wakes the worker.
func (m *maintenance) fallDue() {
	m.mu.Lock()
	m.dueAt = time.Time{}
	m.mu.Unlock()
	signal(m.wake)
}

// maxLosses is how many attempts of a step may be lost. A handler that ends its process
// each time must not go on for ever.
const maxLosses = 10

// takeOver records as lost the attempts whose engine is gone, so that their steps can
// be claimed again. Such an attempt does not count towards the limit. But its handler
// may have done anything outside the database, so a step that is not retryable ends.
func (e *Engine) takeOver(ctx context.Context, t *taskRun) error {
	var others []int64
	for _, s := range t.steps {
		if s.hasDeadClaim() && !e.session.owns(s.claimedBy) {
			others = append(others, s.claimedBy)
		}
	}
	var living, crashed []int64
	if len(others) > 0 {
		var err error
		if living, crashed, err = e.living(ctx, others); err != nil {
			return err
		}
	}
	for _, s := range t.steps {
		if !s.hasDeadClaim() || slices.Contains(living, s.claimedBy) {
			continue
		}
		o := deathOutcome(s, e.now(), slices.Contains(crashed, s.claimedBy))
		_, err := e.commitOutcome(ctx, s, s.claimedBy, o, nil)
		switch {
		case errors.Is(err, errClaimLost): // another engine was faster
			continue
		case err != nil:
			return errors.Wrapf(err, "taking over step %q of task %d", s.template.Name, t.id)
		}
		e.permitFreed(ctx, s)
		what := "took a step over"
		if o.crash && s.suspect() {
			what = "took a step over that has probably ended its process: nothing ran beside it"
		}
		e.cfg.Logger.Warn(what, "task", t.id, "step", s.template.Name, "class", s.template.HandlerClass, "attempt", s.attempts, "to", o.to)
	}
	return nil
}

// deathOutcome is the outcome of an attempt whose engine is gone. crashed says that its
// process has probably died.
func deathOutcome(s *stepRun, now time.Time, crashed bool) outcome {
	reason, message := "the claim died with its session", "the process that ran this attempt is gone"
	if crashed && s.suspect() {
		reason = "its process died, and nothing ran beside it"
		message += fmt.Sprintf("; processes have died %d times while they ran this step, and this time nothing ran beside it, "+
			"so the step is the likely cause", s.crashes+1)
	}
	o := lostOutcome(s, now, reason, &StepError{Class: "Tasker::ClaimLost",
		Message: message + "; what it did outside the database may have happened"})
	o.crash = crashed
	return o
}

// lostOutcome is the outcome of an attempt that ended through no fault of its handler.
func lostOutcome(s *stepRun, now time.Time, reason string, err *StepError) outcome {
	o := outcome{to: StepWaitingForRetry, kind: "lost", reason: reason, started: s.lastAttempted, ended: now, due: now, err: err, loss: true}
	switch {
	case !s.retries:
		o.to, o.reason = StepInError, reason+", and the step is not retryable"
	case s.losses+1 >= maxLosses:
		o.to, o.reason = StepInError, fmt.Sprintf("%s, for the %dth time", reason, s.losses+1)
	}
	return o
}

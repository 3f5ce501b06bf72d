package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// lease is a task in the hands of a worker. It keeps other workers away for as
// long as the engine's session lives. It is a matter of speed alone: what is
// run once is decided by the claims on steps.
type lease struct {
	taskID int64
	heldBy int64
	begun  bool // the task was pending before
}

// lease takes tasks that are due, by priority and then by age, and begins those
// that are pending.
func (w *worker) lease(ctx context.Context, n int) ([]lease, error) {
	holder, err := w.engine.session.claimant(ctx)
	if err != nil {
		return nil, err
	}
	// An answer that nobody waits for would leave tasks with a worker that stops.
	asking, cancel := recordingContext(ctx, w.engine.recordTimeout)
	defer cancel()
	var leases []lease
	err = w.engine.group.exec(asking, func(rows pgx.Rows) (err error) {
		leases, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (lease, error) {
			l := lease{heldBy: holder}
			return l, row.Scan(&l.taskID, &l.begun)
		})
		return err
	}, `
		with d as (
			select task_id, state from tasker.tasks
			where state in ('pending', 'in_progress') and held_by is null and wake_at <= $2
			order by priority desc, wake_at limit $3 for no key update skip locked),
		u as (
			update tasker.tasks k set held_by = $1, state = 'in_progress' from d where k.task_id = d.task_id
			returning k.task_id, d.state as was),
		w as (
			insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
			select task_id, was, 'in_progress', 'begun', $2 from u where was = 'pending')
		select task_id, was = 'pending' from u`, holder, w.engine.now(), n)
	return leases, errors.Wrap(err, "taking tasks")
}

// giveBackAtEnd is how long a worker that stops tries to give a task back. It is a
// courtesy: the lease ends with the engine anyway.
const giveBackAtEnd = time.Second

// giveBack ends a lease. next is when the task is due again, if its revision
// is still the one that the worker saw: if not, it is due at once. A negative
// revision is none.
//
// While this engine lives, nobody else takes a task that it holds: it tries until
// it works or the worker is at its end.
func (w *worker) giveBack(ctx context.Context, l lease, next time.Time, revision int) {
	trying, cancel := recordingContext(ctx, min(w.engine.recordTimeout, giveBackAtEnd))
	defer cancel()
	for {
		err := w.returnLease(trying, l, next, revision)
		if err == nil {
			return
		}
		w.engine.cfg.Logger.Error("a task could not be given back; trying again", "task", l.taskID, "error", err)
		timer := time.NewTimer(w.config.Poll)
		select {
		case <-timer.C:
		case <-trying.Done():
			timer.Stop()
			return // its session ends with the engine, and the lease with that
		}
	}
}

func (w *worker) returnLease(ctx context.Context, l lease, next time.Time, revision int) error {
	var given int
	return w.engine.group.exec(ctx, rowCount(&given), `
		update tasker.tasks set held_by = null,
			wake_at = case when $4 < 0 or revision = $4 then $3::timestamptz else least($3::timestamptz, $5::timestamptz) end
		where task_id = $1 and held_by = $2
		returning task_id`, l.taskID, l.heldBy, next, revision, w.engine.now())
}

// atOnceSQL is the wake_at of tasks that were begun and wait for nothing but a
// worker: they go before all others of their priority, however long those have
// been due.
const atOnceSQL = `'epoch'::timestamptz`

// reclaim frees the tasks of workers whose session is gone.
func (w *worker) reclaim(ctx context.Context) {
	before := time.Now()
	var freed int
	var database time.Time
	var batch pgx.Batch
	batch.Queue(`select clock_timestamp()`).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&database)
		if err == nil {
			w.engine.clock.set(database, before, time.Now())
		}
		return err
	})
	batch.Queue(`
		update tasker.tasks set held_by = null, wake_at = ` + atOnceSQL + `
		where held_by is not null and state in ('pending', 'in_progress') and held_by not in (` + livingSQL + `)
		returning task_id`).Query(rowCount(&freed))
	err := w.engine.pool.SendBatch(ctx, &batch).Close()
	switch {
	case err != nil && ctx.Err() == nil:
		w.engine.cfg.Logger.Warn("the tasks of workers that are gone could not be looked for; trying again", "error", err)
	case freed > 0:
		w.engine.cfg.Logger.Warn("took over the tasks of workers that are gone", "tasks", freed)
	}
}

// untilDue is how long the worker may sleep: until the next task is due, and
// no longer than its poll.
func (w *worker) untilDue(ctx context.Context, room bool) time.Duration {
	if !room {
		return w.config.Poll
	}
	var next *time.Time
	err := w.engine.pool.QueryRow(ctx, `select min(wake_at) from tasker.tasks
		where state in ('pending', 'in_progress') and held_by is null and wake_at < $1`, w.engine.now().Add(w.config.Poll)).Scan(&next)
	if err != nil || next == nil {
		return w.config.Poll
	}
	return min(max(next.Sub(w.engine.now()), time.Millisecond), w.config.Poll)
}

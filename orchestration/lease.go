package orchestration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// lease is a worker's hold on a task. It keeps other workers away while the engine's
// session lives. It only saves work: the claims on steps decide what runs once.
type lease struct {
	taskID int64
	heldBy int64
	begun  bool      // the task was pending before
	due    time.Time // since when it was due
}

// leaseFindings are what a question for leases brings to light besides.
type leaseFindings struct {
	locked  bool    // tasks are ready that others have locked
	unknown []int32 // templates of ready tasks that the worker has not looked at
}

// inHand are the tasks that an engine's workers have leased and not given back.
type inHand struct {
	// leasing is held for reading from a question for leases until the answer is noted.
	leasing sync.RWMutex

	mu    sync.Mutex
	tasks map[int64]bool
}

// add reports whether the task is new.
func (h *inHand) add(task int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tasks[task] {
		return false
	}
	h.tasks[task] = true
	return true
}

func (h *inHand) remove(task int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tasks, task)
}

func (h *inHand) all() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.AppendSeq(make([]int64, 0, len(h.tasks)), maps.Keys(h.tasks))
}

// leaseWindow is how many more tasks than wanted are looked at, because others may lease
// the first ones at this moment.
const leaseWindow = 200

// leaseSQL leases ready tasks for an engine that lives, and takes pending ones to
// in_progress. It waits for no lock: whoever ends a task locks its row first, and then its
// place in the queue.
//
// It looks at the first ready tasks of each template that the worker serves, and not at
// others, however many there are. A row of the kind locked says that ready tasks are left
// because others have locked them. Rows of the kind unknown name templates of ready tasks
// that the worker has not looked at.
//
// Its parameters: $1 engine, $2 now, $3 limit, $4 templates it serves, $5 templates it knows.
var leaseSQL = fmt.Sprintf(`
	with recursive r (number) as (
		(select template from tasker.queue where ready and held_by is null order by template limit 1)
		union all
		select (select q.template from tasker.queue q
			where q.ready and q.held_by is null and q.template > r.number order by q.template limit 1)
		from r where r.number is not null),
	d as (
		select c.task_id, c.due_at, k.state
		from (
			select q.* from r, lateral (
				select q.task_id, q.priority, q.due_at from tasker.queue q
				where q.template = r.number and q.ready and q.held_by is null
				order by q.priority desc, q.due_at limit $3 + %[1]d) q
			where r.number = any($4)
			order by q.priority desc, q.due_at limit $3 + %[1]d) c,
		lateral (select state from tasker.tasks k where k.task_id = c.task_id for no key update skip locked) k,
		lateral (
			select from tasker.queue q where q.task_id = c.task_id and q.ready and q.held_by is null
			for no key update skip locked) q
		where %[2]s limit $3),
	u as (
		update tasker.queue q set held_by = $1, begun = true from d where q.task_id = d.task_id
		returning q.task_id, d.due_at, d.state),
	k as (
		update tasker.tasks k set state = 'in_progress', begun_at = $2 from u
		where u.state = 'pending' and k.task_id = u.task_id)
	select 'lease', task_id, state = 'pending', due_at from d
	union all select 'unknown', number, false, null from r where number is not null and number <> all($5)
	union all select 'locked', 0, false, null where (select count(*) from d) < $3 and exists (
		select from r, lateral (
			select from tasker.queue q where q.template = r.number and q.ready and q.held_by is null
			and q.task_id <> all (array(select task_id from d)) limit 1) q
		where r.number = any($4))`, leaseWindow, livesSQL("$1::bigint"))

// lease leases due tasks, by priority and then by age.
func (w *worker) lease(ctx context.Context, o offer) (leases []lease, found leaseFindings, err error) {
	holder, err := w.engine.session.claimant(ctx)
	if err != nil {
		return nil, found, err
	}
	// A worker that stops must hear the answer, or the tasks would stay with it.
	answering, cancel := outliving(ctx, w.engine.stopTimeout)
	defer cancel()
	err = w.engine.group.exec(answering, func(rows pgx.Rows) error {
		leases, found = nil, leaseFindings{}
		var kind string
		var number int64
		var begun bool
		var due *time.Time
		_, err := pgx.ForEachRow(rows, []any{&kind, &number, &begun, &due}, func() error {
			switch kind {
			case "lease":
				leases = append(leases, lease{taskID: number, heldBy: holder, begun: begun, due: *due})
			case "unknown":
				found.unknown = append(found.unknown, int32(number))
			default:
				found.locked = true
			}
			return nil
		})
		return err
	}, leaseSQL, holder, w.engine.now(), o.room, nonNil(o.serves), nonNil(o.known))
	return leases, found, errors.Wrap(err, "leasing tasks")
}

// freeUnheardSQL frees the tasks of an engine ($1) that it neither has in hand nor holds ($2).
const freeUnheardSQL = `
	update tasker.queue set held_by = null, due_at = ` + atOnceSQL + `
	where task_id in (
		select task_id from tasker.queue where begun and held_by = $1 and task_id <> all($2)
		order by task_id for no key update skip locked)
	returning task_id`

// freeUnheard frees the tasks that this engine has leased without hearing of it: the
// answer was lost, and the next try leased others. Nobody else would take them while the
// engine lives. It does nothing while another worker of the engine asks for leases.
func (w *worker) freeUnheard(ctx context.Context) {
	number, _ := w.engine.session.current()
	if number == 0 || !w.engine.inHand.leasing.TryLock() {
		return
	}
	defer w.engine.inHand.leasing.Unlock()
	var freed int
	var batch pgx.Batch
	batch.Queue(freeUnheardSQL, number, append(w.engine.inHand.all(), w.engine.holds.all()...)).Query(rowCount(&freed))
	err := w.engine.own.short(ctx, &batch)
	switch {
	case err != nil && ctx.Err() == nil:
		w.engine.cfg.Logger.Warn("could not look for tasks that this worker holds without knowing it; trying again", "error", err)
	case freed > 0:
		w.engine.cfg.Logger.Warn("freed tasks that this worker held without knowing it: an answer of the database was lost", "tasks", freed)
	}
}

// giveBackAtEnd is how long a worker that stops tries to give a task back. If it does
// not succeed, the lease ends with the engine.
const giveBackAtEnd = time.Second

// giveBack ends a lease. The task is due again at next if its revision is still the
// given one, and at once if not. A negative revision means any.
//
// giveBack tries until it succeeds or the worker ends: no other worker takes a task
// that a living engine holds.
func (w *worker) giveBack(ctx context.Context, l lease, next time.Time, revision int) {
	trying, cancel := outliving(ctx, min(w.engine.stopTimeout, giveBackAtEnd))
	defer cancel()
	for {
		err := w.endLease(trying, l, next, revision)
		if err == nil {
			return
		}
		w.engine.cfg.Logger.Error("a task could not be given back; trying again", "task", l.taskID, "error", err)
		timer := time.NewTimer(w.retryPause())
		select {
		case <-timer.C:
		case <-trying.Done():
			timer.Stop()
			return
		}
	}
}

// endLeaseSQL wakes the workers if the task is ready at once. Its parameters:
// $1 task, $2 engine, $3 next, $4 revision, $5 now.
const endLeaseSQL = `
	with k as (select revision from tasker.tasks where task_id = $1 for no key update),
	n as (select case when $4 < 0 or revision = $4 then $3::timestamptz else least($3::timestamptz, $5::timestamptz) end as due_at from k),
	u as (
		update tasker.queue q set held_by = null, due_at = n.due_at, ready = n.due_at <= $5 from n
		where q.task_id = $1 and q.held_by = $2
		returning q.ready)
	select pg_notify('` + channelWake + `', '') from u where ready`

func (w *worker) endLease(ctx context.Context, l lease, next time.Time, revision int) error {
	var woken int
	err := w.engine.group.exec(ctx, rowCount(&woken), endLeaseSQL, l.taskID, l.heldBy, next, revision, w.engine.now())
	if err == nil && woken == 0 {
		w.maintenance.wakeAt(next)
	}
	return err
}

// atOnceSQL is the due_at of begun tasks that only need a worker. They go before all
// other tasks of their priority, however long those have been due.
const atOnceSQL = `'epoch'::timestamptz`

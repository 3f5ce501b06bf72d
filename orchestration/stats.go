package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// Stats are the tasks of a database in a few numbers.
type Stats struct {
	// Tasks counts the tasks in each state.
	Tasks map[TaskState]int
	// CompleteEstimated says that complete tasks are so many that the server's estimate of
	// the table has to do: counting them takes time.
	CompleteEstimated bool
	// Due is how many tasks wait for a worker now. They are pending or in progress.
	Due int
	// Oldest is the task that has been due for the longest, nil if none waits. Tasks that
	// only go on after an operator's change or a worker's death are not looked at.
	Oldest *DueTask
}

// DueTask is a task that waits for a worker.
type DueTask struct {
	TaskID          int64
	Namespace, Name string
	DueAt           time.Time
	Waits           time.Duration // by the database's clock
}

// estimatedFrom is the number of tasks from which complete ones are not counted.
const estimatedFrom = 100_000

// statsSQL reads the queue, which has the tasks that have not ended, and the index of those
// that ended otherwise than complete. $1 is estimatedFrom.
const statsSQL = `
	with q as materialized (
		select count(*) filter (where not begun) as pending, count(*) filter (where begun) as begun,
			count(*) filter (where held_by is null and (ready or due_at <= now())) as due
		from tasker.queue),
	o as materialized (
		select count(*) filter (where ended_otherwise = 'error') as errors, count(*) filter (where ended_otherwise = 'cancelled') as cancelled,
			count(*) filter (where ended_otherwise = 'resolved_manually') as resolved
		from tasker.tasks where ended_otherwise is not null),
	e as materialized (select reltuples::bigint as tasks, reltuples >= $1 as large from pg_class where oid = 'tasker.tasks'::regclass)
	select q.pending, q.begun, q.due, o.errors, o.cancelled, o.resolved, e.large,
		case when e.large then greatest(e.tasks - q.pending - q.begun - o.errors - o.cancelled - o.resolved, 0)
		else (select count(*) from tasker.tasks where state = 'complete') end
	from q, o, e`

// oldestDueSQL also finds what no worker has brought in yet. It leaves out what has the
// due_at of atOnceSQL: nobody knows since when it waits. A task that is ready may have a
// due_at some milliseconds ahead, of the clock of the engine that submitted it.
const oldestDueSQL = `
	select q.task_id, t.namespace, t.name, q.due_at, greatest(clock_timestamp() - q.due_at, '0')
	from (select task_id, template, due_at from tasker.queue
		where held_by is null and due_at <= now() + interval '1 second' and (ready or due_at <= now()) and due_at > ` + atOnceSQL + ` order by due_at limit 1) q
	join tasker.templates t on t.number = q.template`

// Stats counts the tasks, at little cost: it reads what has not ended, and an index.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	var pending, begun, failed, cancelled, resolved, complete int
	var batch pgx.Batch
	batch.Queue(statsSQL, estimatedFrom).QueryRow(func(row pgx.Row) error {
		return row.Scan(&pending, &begun, &s.Due, &failed, &cancelled, &resolved, &s.CompleteEstimated, &complete)
	})
	batch.Queue(oldestDueSQL).QueryRow(func(row pgx.Row) error {
		var d DueTask
		err := row.Scan(&d.TaskID, &d.Namespace, &d.Name, &d.DueAt, &d.Waits)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		s.Oldest = &d
		return err
	})
	if err := e.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return Stats{}, errors.Wrap(err, "counting tasks")
	}
	s.Tasks = map[TaskState]int{TaskPending: pending, TaskInProgress: begun, TaskInError: failed, TaskCancelled: cancelled,
		TaskResolvedManually: resolved, TaskComplete: complete}
	return s, nil
}

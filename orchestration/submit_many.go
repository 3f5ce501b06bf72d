package orchestration

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// manyAtOnce is the largest number of tasks in one statement.
const manyAtOnce = 2000

// SubmitMany is Submit for many tasks. It uses one transaction, and a few round trips
// for each two thousand tasks. The answers are in the order of the submissions. Existed
// is set if the identity already existed, or occurs earlier in the same list.
//
// If one submission is refused, nothing is written, and the error names its place.
func (e *Engine) SubmitMany(ctx context.Context, list []Submission) ([]Submitted, error) {
	var done []Submitted
	err := e.inOwnTx(ctx, func(tx pgx.Tx) (err error) {
		done, err = e.submitMany(ctx, tx, list)
		return err
	})
	if err == nil && wakes(list) {
		signal(e.waker.due)
	}
	return done, err
}

// wakes reports whether one of the submissions wakes the workers.
func wakes(list []Submission) bool {
	return slices.ContainsFunc(list, func(s Submission) bool { return !s.NoWake })
}

// SubmitManyTx is SubmitMany in the caller's transaction.
func (e *Engine) SubmitManyTx(ctx context.Context, tx pgx.Tx, list []Submission) ([]Submitted, error) {
	done, err := e.submitMany(ctx, tx, list)
	if err == nil && wakes(list) {
		_, err = tx.Exec(ctx, notifyWakeSQL)
		err = errors.Wrap(err, "waking the workers")
	}
	return done, err
}

func (e *Engine) submitMany(ctx context.Context, tx pgx.Tx, list []Submission) ([]Submitted, error) {
	if len(list) == 0 {
		return nil, nil
	}
	byTemplate := map[string][]int{}
	var order []string
	checked := make([]Submission, len(list))
	digests := map[*templates.Template]string{} // a digest is expensive to compute
	for i, s := range list {
		if err := s.check(e.cfg.MaxDocumentBytes); err != nil && len(list) == 1 {
			return nil, err
		} else if err != nil {
			return nil, errors.Wrapf(err, "submission %d of %d", i+1, len(list))
		}
		checked[i] = s
		digest, known := digests[s.Template]
		if !known {
			digest = s.Template.Digest()
			digests[s.Template] = digest
		}
		if byTemplate[digest] == nil {
			order = append(order, digest)
		}
		byTemplate[digest] = append(byTemplate[digest], i)
	}
	done := make([]Submitted, len(list))
	for _, digest := range order {
		places := byTemplate[digest]
		if err := e.storeTemplate(ctx, tx, checked[places[0]].Template, digest); err != nil {
			return nil, err
		}
		for len(places) > 0 {
			n := min(len(places), manyAtOnce)
			if err := e.insertTasks(ctx, tx, checked, places[:n], done); err != nil {
				return nil, errors.Wrap(err, "submitting tasks")
			}
			places = places[n:]
		}
	}
	return done, nil
}

const (
	taskNumbersSQL = `select array(select nextval('tasker.tasks_task_id_seq') from generate_series(1, $1::int))`
	stepNumbersSQL = `select array(select nextval('tasker.steps_step_id_seq') from generate_series(1, $1::int))`
)

// insertTasks writes the tasks of one template.
func (e *Engine) insertTasks(ctx context.Context, tx pgx.Tx, list []Submission, places []int, done []Submitted) error {
	t := list[places[0]].Template
	var taskIDs, stepIDs []int64
	var batch pgx.Batch
	batch.Queue(taskNumbersSQL, len(places)).QueryRow(func(row pgx.Row) error { return row.Scan(&taskIDs) })
	batch.Queue(stepNumbersSQL, len(places)*len(t.Steps)).QueryRow(func(row pgx.Row) error { return row.Scan(&stepIDs) })
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	now := e.now()
	rows := make([]taskRow, len(places))
	for i, place := range places {
		rows[i] = taskRow{of: &list[place], id: taskIDs[i], runAt: list[place].RunAt}
		if rows[i].runAt.IsZero() {
			rows[i].runAt = now
		}
	}
	written, existing, err := insertTaskRows(ctx, tx, t, now, rows)
	if err != nil {
		return err
	}
	if err := insertSteps(ctx, tx, t, taskIDs, stepIDs, written); err != nil {
		return err
	}
	return answer(list, places, taskIDs, written, existing, done)
}

// taskRow is a task to insert.
type taskRow struct {
	of    *Submission
	id    int64
	runAt time.Time // the submission's, or the time of submitting
}

var taskColumns = columns[taskRow]{
	newColumn("id", "bigint", func(r taskRow) int64 { return r.id }),
	newColumn("context", "text", func(r taskRow) string { return string(r.of.Context) }),
	newColumn("key", "text", func(r taskRow) string { return r.of.IdentityKey }),
	newColumn("initiator", "text", func(r taskRow) string { return r.of.Initiator }),
	newColumn("source", "text", func(r taskRow) string { return r.of.SourceSystem }),
	newColumn("reason", "text", func(r taskRow) string { return r.of.Reason }),
	// As JSON, because PostgreSQL cannot unnest an array of arrays row by row.
	newColumn("tags", "text", func(r taskRow) string { return string(mustMarshal(nonNil(r.of.Tags))) }),
	newColumn("priority", "smallint", func(r taskRow) int16 { return r.of.Priority }),
	newColumn("run_at", "timestamptz", func(r taskRow) time.Time { return r.runAt }),
}

// insertTaskRowsSQL inserts tasks and their places in the queue, and returns the numbers of those whose identity did
// not exist. $1 to $5 are the digest, namespace, name and version of the template, and
// the time. taskColumns follow.
var insertTaskRowsSQL = `
	with k as (
		insert into tasker.tasks (task_id, digest, namespace, name, version, context, identity,
			initiator, source_system, reason, tags, priority, run_at, created_at)
		overriding system value
		select id, $1, $2, $3, $4, context::json, nullif(key, ''), nullif(initiator, ''), nullif(source, ''), nullif(reason, ''),
			array(select json_array_elements_text(tags::json)), priority, run_at, $5
		from ` + taskColumns.unnest("u", 6) + `
		where ` + notPrunedSQL("u.key") + `
		order by id
		on conflict (identity) where identity is not null do nothing
		returning task_id, priority, run_at),
	q as (
		insert into tasker.queue (task_id, template, priority, due_at, ready)
		select k.task_id, t.number, k.priority, k.run_at, k.run_at <= $5
		from k join tasker.templates t on t.digest = $1)
	select task_id from k`

// insertTaskRows returns the numbers of the tasks that it has written, and the tasks of the
// identity keys that existed.
func insertTaskRows(ctx context.Context, tx pgx.Tx, t *templates.Template, now time.Time, list []taskRow) (written map[int64]bool, existing map[string]int64, err error) {
	var batch pgx.Batch
	var ids []int64
	batch.Queue(insertTaskRowsSQL, taskColumns.args(list, t.Digest(), t.Namespace, t.Name, t.Version, now)...).Query(func(rows pgx.Rows) (err error) {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	var found identities
	keys := keysOf(list)
	if len(keys) > 0 {
		found.queue(&batch, keys)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, nil, err
	}
	written = make(map[int64]bool, len(ids))
	for _, id := range ids {
		written[id] = true
	}
	if len(keys) == 0 {
		return written, nil, nil
	}
	existing, err = found.settle(ctx, tx, written)
	return written, existing, err
}

// insertStepRowsSQL's parameters: $1 steps, $2 the task of each, $3 the position of each
// in the template. stepColumns follow.
var insertStepRowsSQL = `
	insert into tasker.steps (step_id, task_id, name, position, retry_limit, retryable)
	overriding system value
	select u.id, u.task, d.name, u.position, d.retry_limit, d.retryable
	from unnest($1::bigint[], $2::bigint[], $3::int[]) as u (id, task, position)
	join ` + stepColumns.unnestInOrder("d", 4, "n") + ` on d.n = u.position + 1`

// insertSteps writes the steps of the written tasks. The step numbers of task i begin at
// i*len(t.Steps).
func insertSteps(ctx context.Context, tx pgx.Tx, t *templates.Template, taskIDs, stepIDs []int64, written map[int64]bool) error {
	n := len(t.Steps)
	var steps, tasks []int64
	var positions []int32
	for i, task := range taskIDs {
		if !written[task] {
			continue
		}
		for k, id := range stepIDs[i*n : (i+1)*n] {
			steps, tasks, positions = append(steps, id), append(tasks, task), append(positions, int32(k))
		}
	}
	_, err := tx.Exec(ctx, insertStepRowsSQL, stepColumns.args(t.Steps, steps, tasks, positions)...)
	return err
}

// answer fills in the numbers of the tasks.
func answer(list []Submission, places []int, taskIDs []int64, written map[int64]bool, existing map[string]int64, done []Submitted) error {
	for i, place := range places {
		if written[taskIDs[i]] {
			done[place] = Submitted{TaskID: taskIDs[i]}
			continue
		}
		id, found := existing[list[place].IdentityKey]
		if !found {
			return errTaskRemoved
		}
		done[place] = Submitted{TaskID: id, Existed: true}
	}
	return nil
}

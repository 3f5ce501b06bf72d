package orchestration

import (
	"cmp"
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
	if err := e.askHandlersOfMany(ctx, list); err != nil {
		return nil, err
	}
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

// SubmitManyTx is SubmitMany in the caller's transaction. One call inserts its identity
// keys in their order. Several calls in one transaction can deadlock with another
// transaction that has the same keys. Any statements that insert the same keys in different
// orders can.
func (e *Engine) SubmitManyTx(ctx context.Context, tx pgx.Tx, list []Submission) ([]Submitted, error) {
	if err := e.askHandlersOfMany(ctx, list); err != nil {
		return nil, err
	}
	done, err := e.submitMany(ctx, tx, list)
	if err == nil && wakes(list) {
		_, err = tx.Exec(ctx, notifyWakeSQL)
		err = errors.Wrap(err, "waking the workers")
	}
	return done, err
}

func (e *Engine) askHandlersOfMany(ctx context.Context, list []Submission) error {
	for i := range list {
		if err := e.askHandlers(ctx, &list[i]); err != nil {
			return ofMany(err, i, len(list))
		}
	}
	return nil
}

// ofMany names the place of a submission that is refused.
func ofMany(err error, i, n int) error {
	if n == 1 {
		return err
	}
	return errors.Wrapf(err, "submission %d of %d", i+1, n)
}

// submitMany inserts the tasks in the order of their keys: a transaction that has inserted
// a key keeps it from others until it ends, so two lists with the same keys in opposite
// order would wait for each other.
func (e *Engine) submitMany(ctx context.Context, tx pgx.Tx, list []Submission) ([]Submitted, error) {
	if len(list) == 0 {
		return nil, nil
	}
	rows, kinds, err := e.taskRows(list)
	if err != nil {
		return nil, err
	}
	replaced := map[string]*templates.Template{}
	for _, k := range kinds {
		if replaced[k.digest], err = e.storeTemplate(ctx, tx, k.template, k.digest, k.replace); err != nil {
			return nil, err
		}
	}
	if err := numberTasks(ctx, tx, rows); err != nil {
		return nil, errors.Wrap(err, "submitting tasks")
	}
	done, now := make([]Submitted, len(list)), e.now()
	slices.SortStableFunc(rows, func(a, b taskRow) int { return cmp.Compare(a.of.IdentityKey, b.of.IdentityKey) })
	for chunk := range slices.Chunk(rows, manyAtOnce) {
		if err := insertTasks(ctx, tx, now, chunk, done); err != nil {
			return nil, errors.Wrap(err, "submitting tasks")
		}
	}
	for _, r := range rows {
		done[r.place].Replaced = replaced[r.digest]
	}
	return done, nil
}

// taskRow is a task to insert.
type taskRow struct {
	of     *Submission // checked
	place  int         // in the list
	digest string      // of its template
	id     int64
	steps  []int64 // their numbers
}

// templateKind is a template of a list, with its digest.
type templateKind struct {
	template *templates.Template
	digest   string
	replace  bool // one of its submissions says so
}

// taskRows checks the list. It returns its templates in the order in which they are stored:
// this is the order of all lists, for the same reason as that of the keys.
func (e *Engine) taskRows(list []Submission) (rows []taskRow, kinds []templateKind, err error) {
	rows = make([]taskRow, len(list))
	digests, at := map[*templates.Template]string{}, map[string]int{} // a digest is expensive to compute
	for i, s := range list {
		if err := s.check(e.cfg.MaxDocumentBytes); err != nil {
			return nil, nil, ofMany(err, i, len(list))
		}
		if s.Held {
			return nil, nil, ofMany(errors.WithHint(errors.New("orchestration: Submission.Held is not for SubmitMany"), "Call Submit for a task that you run yourself."), i, len(list))
		}
		digest, known := digests[s.Template]
		if !known {
			digest = s.Template.Digest()
			digests[s.Template] = digest
		}
		kind, known := at[digest]
		if !known {
			kind = len(kinds)
			at[digest], kinds = kind, append(kinds, templateKind{template: s.Template, digest: digest})
		}
		kinds[kind].replace = kinds[kind].replace || s.ReplaceTemplate
		rows[i] = taskRow{of: &s, place: i, digest: digest}
	}
	slices.SortFunc(kinds, func(a, b templateKind) int {
		return cmp.Or(cmp.Compare(a.template.ID(), b.template.ID()), cmp.Compare(a.template.Environment, b.template.Environment),
			cmp.Compare(a.digest, b.digest))
	})
	return rows, kinds, nil
}

const (
	taskNumbersSQL = `select array(select nextval('tasker.tasks_task_id_seq') from generate_series(1, $1::int))`
	stepNumbersSQL = `select array(select nextval('tasker.steps_step_id_seq') from generate_series(1, $1::int))`
)

// numberTasks gives the tasks and their steps numbers in the order of the list.
func numberTasks(ctx context.Context, tx pgx.Tx, rows []taskRow) error {
	steps := 0
	for _, r := range rows {
		steps += len(r.of.Template.Steps)
	}
	var taskIDs, stepIDs []int64
	var batch pgx.Batch
	batch.Queue(taskNumbersSQL, len(rows)).QueryRow(func(row pgx.Row) error { return row.Scan(&taskIDs) })
	batch.Queue(stepNumbersSQL, steps).QueryRow(func(row pgx.Row) error { return row.Scan(&stepIDs) })
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	for i := range rows {
		n := len(rows[i].of.Template.Steps)
		rows[i].id, rows[i].steps, stepIDs = taskIDs[i], stepIDs[:n], stepIDs[n:]
	}
	return nil
}

// insertTasks writes tasks in the order of rows, and notes what became of each.
func insertTasks(ctx context.Context, tx pgx.Tx, now time.Time, rows []taskRow, done []Submitted) error {
	written, existing, err := insertTaskRows(ctx, tx, now, rows)
	if err != nil {
		return err
	}
	if err := insertSteps(ctx, tx, rows, written); err != nil {
		return err
	}
	return answer(rows, written, existing, done)
}

var taskColumns = columns[taskRow]{
	newColumn("id", "bigint", func(r taskRow) int64 { return r.id }),
	newColumn("digest", "text", func(r taskRow) string { return r.digest }),
	newColumn("context", "text", func(r taskRow) string { return string(r.of.Context) }),
	newColumn("key", "text", func(r taskRow) string { return r.of.IdentityKey }),
	newColumn("initiator", "text", func(r taskRow) string { return r.of.Initiator }),
	newColumn("source", "text", func(r taskRow) string { return r.of.SourceSystem }),
	newColumn("reason", "text", func(r taskRow) string { return r.of.Reason }),
	// As JSON, because PostgreSQL cannot unnest an array of arrays row by row.
	newColumn("tags", "text", func(r taskRow) string { return string(mustMarshal(nonNil(r.of.Tags))) }),
	newColumn("priority", "smallint", func(r taskRow) int16 { return r.of.Priority }),
	newColumn("run_at", "timestamptz", func(r taskRow) *time.Time { return nilIfZero(r.of.RunAt) }),
}

// nilIfZero returns a time for a column that may be null.
func nilIfZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// insertTaskRowsSQL inserts tasks and their places in the queue, and returns the numbers of
// those whose identity did not exist. $1 is the time. taskColumns follow.
var insertTaskRowsSQL = `
	with k as (
		insert into tasker.tasks (task_id, digest, namespace, name, version, context, identity,
			initiator, source_system, reason, tags, priority, run_at, created_at)
		overriding system value
		select u.id, t.digest, t.namespace, t.name, t.version, context::json, nullif(key, ''), nullif(initiator, ''), nullif(source, ''), nullif(reason, ''),
			array(select json_array_elements_text(tags::json)), priority, coalesce(run_at, $1), $1
		from ` + taskColumns.unnestInOrder("u", 2, "n") + ` join tasker.templates t on t.digest = u.digest
		where ` + notPrunedSQL("u.key") + `
		order by u.n
		on conflict (identity) where identity is not null do nothing
		returning task_id, digest, priority, run_at),
	q as (
		insert into tasker.queue (task_id, template, priority, due_at, ready)
		select k.task_id, t.number, k.priority, k.run_at, k.run_at <= $1
		from k join tasker.templates t on t.digest = k.digest)
	select task_id from k`

// insertTaskRows returns the numbers of the tasks that it has written, and the tasks of the
// identity keys that existed.
func insertTaskRows(ctx context.Context, tx pgx.Tx, now time.Time, list []taskRow) (written map[int64]bool, existing map[string]int64, err error) {
	var batch pgx.Batch
	var ids []int64
	batch.Queue(insertTaskRowsSQL, taskColumns.args(list, now)...).Query(func(rows pgx.Rows) (err error) {
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

// stepsOf are the steps to insert of a template.
type stepsOf struct {
	template     []*templates.Step
	steps, tasks []int64
	positions    []int32
}

// insertSteps writes the steps of the written tasks.
func insertSteps(ctx context.Context, tx pgx.Tx, rows []taskRow, written map[int64]bool) error {
	type kind struct {
		digest string
		once   bool
	}
	byTemplate := map[kind]*stepsOf{}
	for _, r := range rows {
		if !written[r.id] {
			continue
		}
		k := kind{r.digest, r.of.SingleAttempt}
		of := byTemplate[k]
		if of == nil {
			of = &stepsOf{template: r.of.steps()}
			byTemplate[k] = of
		}
		for position, id := range r.steps {
			of.steps, of.tasks, of.positions = append(of.steps, id), append(of.tasks, r.id), append(of.positions, int32(position))
		}
	}
	if len(byTemplate) == 0 {
		return nil
	}
	var batch pgx.Batch
	for _, of := range byTemplate {
		batch.Queue(insertStepRowsSQL, stepColumns.args(of.template, of.steps, of.tasks, of.positions)...)
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// answer notes the numbers of the tasks.
func answer(rows []taskRow, written map[int64]bool, existing map[string]int64, done []Submitted) error {
	for _, r := range rows {
		if written[r.id] {
			done[r.place] = Submitted{TaskID: r.id}
			continue
		}
		id, found := existing[r.of.IdentityKey]
		if !found {
			return errTaskRemoved
		}
		done[r.place] = Submitted{TaskID: id, Existed: true}
	}
	return nil
}

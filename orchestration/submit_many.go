package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// manyAtOnce is how many tasks go into one statement.
const manyAtOnce = 2000

// SubmitMany is Submit for many tasks, all in one transaction and a few round
// trips for each two thousand. The answers are in the order of the submissions;
// one whose identity was there, or occurs before in the same list, has
// Existed set. If one is refused, nothing is written: the error names its place.
func (e *Engine) SubmitMany(ctx context.Context, list []Submission) ([]Submitted, error) {
	var done []Submitted
	err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) (err error) {
		done, err = e.SubmitManyTx(ctx, tx, list)
		return err
	})
	return done, err
}

// SubmitManyTx is SubmitMany in a transaction of the caller's.
func (e *Engine) SubmitManyTx(ctx context.Context, tx pgx.Tx, list []Submission) ([]Submitted, error) {
	if len(list) == 0 {
		return nil, nil
	}
	byTemplate := map[string][]int{}
	var order []string
	checked := make([]Submission, len(list))
	digests := map[*templates.Template]string{} // each takes a while
	for i, s := range list {
		if err := s.check(); err != nil && len(list) == 1 {
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
	_, err := tx.Exec(ctx, `select pg_notify($1, '')`, channelWake)
	return done, errors.Wrap(err, "submitting tasks")
}

// insertTasks writes the tasks of one template.
func (e *Engine) insertTasks(ctx context.Context, tx pgx.Tx, list []Submission, places []int, done []Submitted) error {
	t := list[places[0]].Template
	var taskIDs, stepIDs []int64
	var batch pgx.Batch
	batch.Queue(`select array(select nextval('tasker.tasks_task_id_seq') from generate_series(1, $1::int))`, len(places)).
		QueryRow(func(row pgx.Row) error { return row.Scan(&taskIDs) })
	batch.Queue(`select array(select nextval('tasker.steps_step_id_seq') from generate_series(1, $1::int))`, len(places)*len(t.Steps)).
		QueryRow(func(row pgx.Row) error { return row.Scan(&stepIDs) })
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	now := e.now()
	rows := newTaskRows(len(places))
	for i, place := range places {
		rows.add(taskIDs[i], list[place], now)
	}
	written, err := rows.insert(ctx, tx, t, now)
	if err != nil {
		return err
	}
	if err := insertSteps(ctx, tx, t, taskIDs, stepIDs, written, now); err != nil {
		return err
	}
	return answer(ctx, tx, list, places, taskIDs, written, done)
}

// taskRows are columns for unnest.
type taskRows struct {
	ids                                []int64
	contexts                           []string
	keys, initiators, sources, reasons []string
	tags                               []string // PostgreSQL cannot unnest arrays of arrays: as text
	priorities                         []int16
	runAt                              []time.Time
}

func newTaskRows(n int) *taskRows { return &taskRows{ids: make([]int64, 0, n)} }

func (r *taskRows) add(id int64, s Submission, now time.Time) {
	runAt := s.RunAt
	if runAt.IsZero() {
		runAt = now
	}
	r.ids, r.contexts, r.keys = append(r.ids, id), append(r.contexts, string(s.Context)), append(r.keys, s.IdentityKey)
	r.initiators, r.sources, r.reasons = append(r.initiators, s.Initiator), append(r.sources, s.SourceSystem), append(r.reasons, s.Reason)
	r.tags, r.priorities, r.runAt = append(r.tags, string(mustMarshal(nonNil(s.Tags)))), append(r.priorities, s.Priority), append(r.runAt, runAt)
}

// insert returns the numbers of those that were written: not those whose
// identity was there.
func (r *taskRows) insert(ctx context.Context, tx pgx.Tx, t *templates.Template, now time.Time) (map[int64]bool, error) {
	rows, err := tx.Query(ctx, `
		insert into tasker.tasks (task_id, digest, namespace, name, version, context, identity_key,
			initiator, source_system, reason, tags, priority, run_at, wake_at, created_at)
		overriding system value
		select id, $1, $2, $3, $4, context::json, nullif(key, ''), nullif(initiator, ''), nullif(source, ''), nullif(reason, ''),
			array(select json_array_elements_text(tags::json)), priority, run_at, run_at, $5
		from unnest($6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::smallint[], $14::timestamptz[])
			as u (id, context, key, initiator, source, reason, tags, priority, run_at)
		order by id
		on conflict (identity_key) do nothing
		returning task_id`,
		t.Digest(), t.Namespace, t.Name, t.Version, now,
		r.ids, r.contexts, r.keys, r.initiators, r.sources, r.reasons, r.tags, r.priorities, r.runAt)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	written := make(map[int64]bool, len(ids))
	for _, id := range ids {
		written[id] = true
	}
	return written, err
}

// insertSteps writes the steps, edges and first transitions of the tasks that
// were written. Task i has the step numbers from i*len(t.Steps) on.
func insertSteps(ctx context.Context, tx pgx.Tx, t *templates.Template, taskIDs, stepIDs []int64, written map[int64]bool, now time.Time) error {
	n := len(t.Steps)
	names, limits, retryable := stepColumns(t)
	var steps, tasks, edgeTasks, parents, children, begun []int64
	var positions []int32
	for i, task := range taskIDs {
		if !written[task] {
			continue
		}
		begun = append(begun, task)
		own := stepIDs[i*n : (i+1)*n]
		for k, s := range t.Steps {
			steps, tasks, positions = append(steps, own[k]), append(tasks, task), append(positions, int32(k))
			for _, p := range s.Parents {
				edgeTasks, parents, children = append(edgeTasks, task), append(parents, own[t.Step(p).Index]), append(children, own[k])
			}
		}
	}
	var batch pgx.Batch
	batch.Queue(`
		insert into tasker.steps (step_id, task_id, name, position, retry_limit, retryable)
		overriding system value
		select u.id, u.task, d.name, u.position, d.retry_limit, d.retryable
		from unnest($1::bigint[], $2::bigint[], $3::int[]) as u (id, task, position)
		join unnest($4::text[], $5::int[], $6::bool[]) with ordinality as d (name, retry_limit, retryable, n) on d.n = u.position + 1`,
		steps, tasks, positions, names, limits, retryable)
	batch.Queue(`insert into tasker.edges (task_id, parent_id, child_id) select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])`,
		edgeTasks, parents, children)
	batch.Queue(`insert into tasker.task_transitions (task_id, to_state, reason, at) select task, 'pending', 'submitted', $2 from unnest($1::bigint[]) as u (task)`,
		begun, now)
	return tx.SendBatch(ctx, &batch).Close()
}

// answer fills in the numbers, and looks up those that were there.
func answer(ctx context.Context, tx pgx.Tx, list []Submission, places []int, taskIDs []int64, written map[int64]bool, done []Submitted) error {
	var missing []string
	for i, place := range places {
		if written[taskIDs[i]] {
			done[place] = Submitted{TaskID: taskIDs[i]}
		} else {
			missing = append(missing, list[place].IdentityKey)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `select identity_key, task_id from tasker.tasks where identity_key = any($1)`, missing)
	if err != nil {
		return err
	}
	there := map[string]int64{}
	var key string
	var id int64
	if _, err := pgx.ForEachRow(rows, []any{&key, &id}, func() error { there[key] = id; return nil }); err != nil {
		return err
	}
	for i, place := range places {
		if written[taskIDs[i]] {
			continue
		}
		id, found := there[list[place].IdentityKey]
		if !found {
			return errNoLongerThere
		}
		done[place] = Submitted{TaskID: id, Existed: true}
	}
	return nil
}

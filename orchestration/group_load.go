package orchestration

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
)

// loaders is the number of groups that may be read at a time.
const loaders = 2

// groupLoad reads tasks together. As with groupCommit, no request waits for company: the
// requests that arrive while a group is being read form the next group.
type groupLoad struct {
	own   *ownBatches
	queue chan *loadRequest
	ended sync.WaitGroup
}

// loadRequest asks for one task.
type loadRequest struct {
	ctx  context.Context //nolint:containedctx // the caller's
	id   int64
	task *taskRun // the answer; nil if the task does not exist
	err  error
	done chan struct{}
}

func newGroupLoad(own *ownBatches) *groupLoad {
	g := &groupLoad{own: own, queue: make(chan *loadRequest, maxGroup)}
	for range loaders {
		g.ended.Go(g.work)
	}
	return g
}

// close must come after the last load.
func (g *groupLoad) close() {
	close(g.queue)
	g.ended.Wait()
}

// load returns the task and its steps as they are in the tables, without the parts that
// only the template has. It returns nil if the task does not exist.
func (g *groupLoad) load(ctx context.Context, id int64) (*taskRun, error) {
	l := &loadRequest{ctx: ctx, id: id, done: make(chan struct{})}
	g.queue <- l
	select {
	case <-l.done:
		return l.task, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *groupLoad) work() {
	group := make([]*loadRequest, 0, maxGroup)
	for first := range g.queue {
		group = append(group[:0], first)
	gather:
		for len(group) < maxGroup {
			select {
			case l, ok := <-g.queue:
				if !ok {
					break gather
				}
				group = append(group, l)
			default:
				break gather
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
		err := g.read(ctx, group)
		cancel()
		for _, l := range group {
			if err == nil {
				close(l.done)
			} else {
				g.ended.Go(func() { g.readAlone(l) })
			}
		}
	}
}

// loadTries is how often a task is read before the error is returned.
const loadTries = 3

// readAlone reads one task of a failed group.
func (g *groupLoad) readAlone(l *loadRequest) {
	defer close(l.done)
	for range loadTries {
		ctx, cancel := context.WithTimeout(l.ctx, 2*groupTimeout)
		l.err = g.read(ctx, []*loadRequest{l})
		silent := errors.Is(l.err, context.DeadlineExceeded)
		cancel()
		if silent {
			g.own.pool.Reset()
		}
		if l.err == nil || l.ctx.Err() != nil || !silent && !sqlsession.Passing(l.err) {
			return
		}
	}
}

// read fills in the answers.
func (g *groupLoad) read(ctx context.Context, group []*loadRequest) error {
	ids := make([]int64, 0, len(group))
	found := make(map[int64]*taskRun, len(group))
	for _, l := range group {
		if !slices.Contains(ids, l.id) {
			ids = append(ids, l.id)
		}
	}
	var batch pgx.Batch
	batch.Queue(tasksSQL, ids).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			t, err := scanTask(rows)
			if err != nil {
				return err
			}
			found[t.id] = t
		}
		return rows.Err()
	})
	batch.Queue(stepsSQL, ids).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			id, s, results, err := scanStep(rows)
			if err != nil {
				return err
			}
			if t := found[id]; t != nil {
				s.index = len(t.steps)
				t.steps = append(t.steps, s)
				t.setResults(s, results)
			}
		}
		return rows.Err()
	})
	if err := g.own.sendOften(ctx, &batch); err != nil {
		return err
	}
	for _, l := range group {
		l.task = found[l.id]
		delete(found, l.id) // two requests for one task must not share it
		if l.task == nil && len(group) > 1 {
			if err := g.read(ctx, []*loadRequest{l}); err != nil {
				return err
			}
		}
	}
	return nil
}

// tasksSQL and stepsSQL look the tasks up one after another, with lateral joins. For a
// plain join with the array, PostgreSQL with old statistics may read the whole table.
const tasksSQL = `
	select k.* from unnest($1::bigint[]) as wanted (id), lateral (
		select k.task_id, k.state, k.revision, k.context::text, k.run_at, k.digest, k.tags, k.created_at,
			coalesce(k.initiator, ''), coalesce(k.source_system, ''), coalesce(k.reason, '')
		from tasker.tasks k where k.task_id = wanted.id limit 1) k`

func scanTask(rows pgx.Rows) (*taskRun, error) {
	t := &taskRun{}
	var document string
	err := rows.Scan(&t.id, &t.state, &t.revision, &document, &t.runAt, &t.digest, &t.head.tags, &t.head.createdAt,
		&t.head.initiator, &t.head.sourceSystem, &t.head.reason)
	t.context = json.RawMessage(document)
	return t, err
}

// stepsSQL returns the steps of a task in the template's order, with results that are small.
// Of larger ones it returns the size. results_bytes is null for small ones, and in rows that
// programs of version 6 have written; of those it is the stored, compressed size that counts.
var stepsSQL = `
	select s.* from unnest($1::bigint[]) as wanted (id), lateral (
		select s.task_id, s.step_id, s.name, s.state, s.attempts, s.attempts - s.forgiven, s.losses, s.crashes, s.retry_limit, s.retryable,
			coalesce(s.claimed_by, 0), s.claimed_by is not null and s.claimed_by in (` + livingSQL + `),
			s.last_attempted_at, s.next_attempt_at, s.backoff_request_seconds, coalesce(a.small, ''), coalesce(a.bytes, 0)
		from tasker.steps s
		left join lateral (
			select case when a.results_bytes is null and stored <= ` + storedLimit + ` then results::text end as small,
				case when a.results_bytes is null and stored <= ` + storedLimit + ` then 0 else coalesce(a.results_bytes, octet_length(results::text)) end as bytes
			from tasker.attempts a, lateral (select pg_column_size(results) as stored) size
			where s.state in ('complete', 'resolved_manually') -- asked before the index is
				and a.step_id = s.step_id and a.outcome in ('complete', 'resolved_manually') order by attempt desc limit 1) a on true
		where s.task_id = wanted.id order by s.position) s`

func scanStep(rows pgx.Rows) (taskID int64, s *stepRun, results result, err error) {
	s = &stepRun{}
	var name, small string
	var last, due *time.Time
	err = rows.Scan(&taskID, &s.id, &name, &s.state, &s.attemptNumber, &s.attempts, &s.losses, &s.crashes, &s.limit, &s.retries, &s.claimedBy, &s.claimAlive,
		&last, &due, &s.requestedWait, &small, &results.bytes)
	if last != nil {
		s.lastAttempted = *last
	}
	if due != nil {
		s.dueAt = *due
	}
	if small != "" {
		results = resultOf(json.RawMessage(small))
	}
	s.template = &templates.Step{Name: name} // until connect replaces it
	return taskID, s, results, err
}

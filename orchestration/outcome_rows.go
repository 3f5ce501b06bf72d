package orchestration

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// What happens most, claims and outcomes, is written by one statement for many
// steps. Each row says which request of the group it belongs to, and stands for
// itself: a row whose step is not as it should be is left out, and the others
// are not touched by that.

// outcomeRow is what came of an attempt.
type outcomeRow struct {
	step, claimant  int64
	number          int32
	to, kind        string
	results, failed *string
	class           *string
	started, at     time.Time
	due             *time.Time
	wait            *float64
	reason          string
	last            bool // every other step of the task is done
}

// outcomeSQL records what came of attempts: the step's new state, the attempt's
// row, the audit row and, when that is the task's last, the end of the task.
// All of it happens for a row or, if the claim is not that engine's any more,
// none. It returns (request, whether the task has ended) of those it recorded.
const outcomeSQL = `
	with i as (
		select * from unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
				$10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::float8[], $14::text[], $15::bool[])
			as i (request, step_id, claimant, attempt, to_state, outcome, results, error, error_class,
				started_at, at, due_at, wait, reason, last)),
	o as (
		select i.*, s.task_id, s.state as was
		from i join tasker.steps s on s.step_id = i.step_id and s.claimed_by = i.claimant and s.attempts = i.attempt
		where s.state || '>' || i.to_state = any($16)
		order by s.step_id for no key update of s),
	u as (
		update tasker.steps s
		set state = o.to_state, claimed_by = null, backoff_request_seconds = o.wait,
			next_attempt_at = case when o.to_state = 'waiting_for_retry' then o.due_at end,
			ended_at = case when o.to_state in ('complete', 'error') then o.at end
		from o where s.step_id = o.step_id
		returning o.*),
	a as (
		insert into tasker.attempts (step_id, attempt, outcome, results, error, error_class, started_at, ended_at)
		select step_id, attempt, outcome, results::json, error::json, error_class, started_at, at from u),
	w as (
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at)
		select step_id, was, to_state, attempt, reason, at from u),
	k as (
		update tasker.tasks t set state = 'complete', ended_at = u.at, held_by = null from u
		where u.last and t.task_id = u.task_id and t.state = 'in_progress' and not exists (
			select 1 from tasker.steps x
			where x.task_id = u.task_id and x.step_id <> u.step_id and x.state not in ('complete', 'resolved_manually'))
		returning t.task_id, u.request, u.at),
	kw as (
		insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
		select task_id, 'in_progress', 'complete', 'every step is done', at from k)
	select request, exists (select 1 from k where k.request = u.request) from u`

// stepMoves are the allowed transitions as outcomeSQL writes them.
var stepMoves = func() []string {
	var moves []string
	for from, targets := range StepTransitions {
		for _, to := range targets {
			moves = append(moves, string(from)+">"+string(to))
		}
	}
	return moves
}()

// outcomeArgs are the columns of the rows, request i for the i-th that is not nil.
func outcomeArgs(rows []*outcomeRow) []any {
	var requests, numbers []int32
	var last []bool
	var steps, claimants []int64
	var to, kinds, reasons []string
	var results, failed, classes []*string
	var started, at []time.Time
	var due []*time.Time
	var waits []*float64
	for i, r := range rows {
		if r == nil {
			continue
		}
		requests, steps, claimants, numbers = append(requests, int32(i)), append(steps, r.step), append(claimants, r.claimant), append(numbers, r.number)
		to, kinds, reasons, last = append(to, r.to), append(kinds, r.kind), append(reasons, r.reason), append(last, r.last)
		results, failed, classes = append(results, r.results), append(failed, r.failed), append(classes, r.class)
		started, at, due, waits = append(started, r.started), append(at, r.at), append(due, r.due), append(waits, r.wait)
	}
	if len(requests) == 0 {
		return nil
	}
	return []any{requests, steps, claimants, numbers, to, kinds, results, failed, classes, started, at, due, waits, reasons, last, stepMoves}
}

// queueOutcomes puts the outcomes of the group into the batch.
func queueOutcomes(batch *pgx.Batch, group []*statement) {
	rows := make([]*outcomeRow, len(group))
	for i, s := range group {
		s.recorded, s.ended = false, false
		rows[i] = s.outcome
	}
	args := outcomeArgs(rows)
	if args == nil {
		return
	}
	batch.Queue(outcomeSQL, args...).Query(func(rows pgx.Rows) error {
		var request int
		var ended bool
		_, err := pgx.ForEachRow(rows, []any{&request, &ended}, func() error {
			group[request].recorded, group[request].ended = true, ended
			return nil
		})
		return err
	})
}

// row is the outcome as outcomeSQL takes it.
func (o outcome) row(s *stepRun, claimant int64) *outcomeRow {
	row := &outcomeRow{
		step: s.id, claimant: claimant, number: int32(s.number), to: string(o.to), kind: o.kind,
		class: classOf(o.err), started: o.started, at: o.ended, wait: o.wait, reason: o.reason,
		last: o.last && o.to.Done(),
	}
	if o.results != nil {
		results := string(o.results)
		row.results = &results
	}
	if o.err != nil {
		failed := errorJSON(o.err)
		row.failed = &failed
	}
	if o.to == StepWaitingForRetry {
		row.due = &o.due
	}
	return row
}

package orchestration

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// claimRow is a step that an engine wants to run.
type claimRow struct {
	step, claimant int64
	number         int32 // the attempts so far
	at             time.Time
	key            string // of concurrency, or ""
	capacity       int32  // how many of that key may run
}

// claimColumns are claims for unnest.
type claimColumns struct {
	requests, numbers []int32
	steps, claimants  []int64
	at                []time.Time
}

func (c *claimColumns) add(request int, row claimRow) {
	c.requests, c.steps, c.claimants = append(c.requests, int32(request)), append(c.steps, row.step), append(c.claimants, row.claimant)
	c.numbers, c.at = append(c.numbers, row.number), append(c.at, row.at)
}

// claimSQL takes the steps that are as they were when they were loaded, counts
// their attempts, and returns (request, step) of those it took. A step that two
// requests want goes to one of them.
const claimSQL = `
	with i as (
		select * from unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::timestamptz[])
			as i (request, step_id, claimant, attempts, at)),
	o as (
		select i.request, i.claimant, i.at, s.step_id, s.state as was
		from i join tasker.steps s on s.step_id = i.step_id and s.attempts = i.attempts
		join tasker.tasks k on k.task_id = s.task_id
		where s.state = any($6) and k.state = 'in_progress'
		order by s.step_id for no key update of s),
	u as (
		update tasker.steps s
		set state = 'in_progress', attempts = s.attempts + 1, claimed_by = o.claimant, last_attempted_at = o.at, next_attempt_at = null
		from o where s.step_id = o.step_id
		returning s.step_id, s.attempts, o.was, o.request, o.claimant, o.at),
	w as (
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at, actor)
		select step_id, was, 'in_progress', attempts, 'claimed', at, 'engine ' || claimant from u)
	select request, step_id from u`

var claimable = sources(StepTransitions, StepInProgress)

// queueClaims puts the claims of the group into the batch, but for those with
// a key: queueSlotClaims, which comes after it.
func queueClaims(batch *pgx.Batch, group []*statement) {
	var c claimColumns
	for i, s := range group {
		s.taken = nil
		for _, row := range s.claims {
			if row.key == "" {
				c.add(i, row)
			}
		}
	}
	if len(c.steps) == 0 {
		return
	}
	batch.Queue(claimSQL, c.requests, c.steps, c.claimants, c.numbers, c.at, claimable).Query(func(rows pgx.Rows) error {
		var request int
		var step int64
		_, err := pgx.ForEachRow(rows, []any{&request, &step}, func() error {
			group[request].taken = append(group[request].taken, step)
			return nil
		})
		return err
	})
}

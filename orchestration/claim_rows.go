package orchestration

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// claimRequest asks for the claims on some steps of a task.
type claimRequest struct {
	requestBase
	rows []claimRow

	// The answer: the claimed steps, and the steps that got no permit, each with the
	// number of steps that wait for its key.
	claimed []int64
	waiting map[int64]int
}

// claimRow is a step that an engine wants to run.
type claimRow struct {
	request        int32 // the row's place in requestsByKind.claims
	step, claimant int64
	attemptNumber  int32 // of the latest attempt; 0 before the first
	at             time.Time
	key            string // concurrency key, or ""
	capacity       int32  // permits of that key
}

func (r *claimRequest) join(g *requestsByKind) {
	r.claimed, r.waiting = nil, nil
	for i := range r.rows {
		row := &r.rows[i]
		row.request = int32(len(g.claims))
		if row.key == "" {
			g.claimRows = append(g.claimRows, row)
		} else {
			g.permitRows = append(g.permitRows, row)
		}
	}
	g.claims = append(g.claims, r)
}

var claimColumns = columns[*claimRow]{
	newColumn("request", "int", func(r *claimRow) int32 { return r.request }),
	newColumn("step_id", "bigint", func(r *claimRow) int64 { return r.step }),
	newColumn("claimant", "bigint", func(r *claimRow) int64 { return r.claimant }),
	newColumn("attempts", "int", func(r *claimRow) int32 { return r.attemptNumber }),
	newColumn("at", "timestamptz", func(r *claimRow) time.Time { return r.at }),
}

// claimSQL claims the steps that have not changed since they were loaded, and counts
// their attempts. Each row stands alone: a step that has changed is left out, and the
// others are claimed. If two requests want a step, one of them gets it.
//
// $1 is claimable, and claimColumns follow. It returns (request, step) of each claim.
var claimSQL = `
	with i as (
		select * from ` + claimColumns.unnest("i", 2) + `),
	o as (
		select i.request, i.claimant, i.at, s.step_id, s.state as was
		from i join tasker.steps s on s.step_id = i.step_id and s.attempts = i.attempts
		join tasker.tasks k on k.task_id = s.task_id
		where s.state = any($1) and k.state = 'in_progress'
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

// claimable are the states in which a step can be claimed.
var claimable = sources(StepTransitions, StepInProgress)

// queueClaims adds the claims without a concurrency key to the batch.
func queueClaims(batch *pgx.Batch, g *requestsByKind) {
	if len(g.claimRows) == 0 {
		return
	}
	batch.Queue(claimSQL, claimColumns.args(g.claimRows, claimable)...).Query(func(rows pgx.Rows) error {
		var request int
		var step int64
		_, err := pgx.ForEachRow(rows, []any{&request, &step}, func() error {
			r := g.claims[request]
			r.claimed = append(r.claimed, step)
			return nil
		})
		return err
	})
}

package orchestration

import (
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// claimRequest asks for the claims on some steps of a task.
type claimRequest struct {
	requestBase
	rows []claimRow

	// The answer: the claimed steps, and the steps that got no permit, each with the
	// number of steps that wait for its key. Or the claimant does not live.
	claimed []int64
	waiting map[int64]int
	dead    bool
}

// claimant is the number under which the claims of the group are made. A request with a
// former number gets nothing.
func (g *requestsByKind) claimant() int64 { return g.claims[len(g.claims)-1].rows[0].claimant }

// noteClaimantDead tells the requests that nothing could be claimed.
func (g *requestsByKind) noteClaimantDead() {
	for _, r := range g.claims {
		r.dead = true
	}
}

// claimRow is a step that an engine wants to run.
type claimRow struct {
	request        int32 // the row's place in requestsByKind.claims
	step, claimant int64
	attemptNumber  int32 // of the latest attempt; 0 before the first
	at             time.Time
	awaited        []int64 // steps that must be done by now
	key            string  // concurrency key, or ""
	capacity       int32   // permits of that key
}

func (r *claimRequest) join(g *requestsByKind) {
	r.claimed, r.waiting, r.dead = nil, nil, false
	for i := range r.rows {
		row := &r.rows[i]
		row.request = int32(len(g.claims))
		switch {
		case row.awaited != nil:
			g.travelling = append(g.travelling, row)
		case row.key != "":
			g.permitRows = append(g.permitRows, row)
		default:
			g.claimRows = append(g.claimRows, row)
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
	// As text, because PostgreSQL cannot unnest an array of arrays row by row.
	newColumn("awaited", "text", func(r *claimRow) *string { return arrayText(r.awaited) }),
}

// arrayText is an array as PostgreSQL reads it; nil if it is empty.
func arrayText(ids []int64) *string {
	if len(ids) == 0 {
		return nil
	}
	text := []byte("{")
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, id, 10)
	}
	s := string(append(text, '}'))
	return &s
}

// claimSQL claims the steps that have not changed since they were loaded, and counts
// their attempts. Each row stands alone: a step that has changed is left out, and the
// others are claimed. If two requests want a step, one of them gets it.
//
// The engine claims under its own number ($2), and only while that number lives. So an
// engine that is cut off, or that a server with lost commits does not know, claims
// nothing.
//
// $1 is claimable, and claimColumns follow $2. It returns (request, step) of each claim,
// and (-1, 0) if the number does not live.
var claimSQL = claimSQLWaiting("")

// travellingSQL is claimSQL for claims that travel with the success of a step. They are made
// after it, in the same transaction, and only if all awaited steps are done. They wait for
// no lock: the group holds the steps that succeeded already, and an operator may lock these
// and the claimed ones in the other order.
var travellingSQL = claimSQLWaiting("skip locked")

func claimSQLWaiting(wait string) string {
	return `
	with i as (
		select * from ` + claimColumns.unnest("i", 3) + ` where i.claimant = $2),
	l as materialized (select ` + livesSQL("$2::bigint") + ` as lives),
	o as (
		select i.request, i.claimant, i.at, s.step_id
		from i join tasker.steps s on s.step_id = i.step_id and s.attempts = i.attempts
		join tasker.tasks k on k.task_id = s.task_id
		where s.state = any($1) and k.state = 'in_progress' and (select lives from l) and (i.awaited is null or not exists (
			select from tasker.steps p where p.step_id = any(i.awaited::bigint[]) and p.state not in ('complete', 'resolved_manually')))
		order by s.step_id for no key update of s ` + wait + `),
	u as (
		update tasker.steps s
		set state = 'in_progress', attempts = s.attempts + 1, claimed_by = o.claimant, last_attempted_at = o.at, next_attempt_at = null
		from o where s.step_id = o.step_id
		returning s.step_id, o.request)
	select request, step_id from u union all select -1, 0 from l where not lives`
}

// claimable are the states in which a step can be claimed.
var claimable = sources(StepTransitions, StepInProgress)

// queueClaims adds the claims without a concurrency key to the batch.
func queueClaims(batch *pgx.Batch, g *requestsByKind) {
	queueClaimRows(batch, g, claimSQL, g.claimRows)
	queueClaimRows(batch, g, travellingSQL, g.travelling)
}

func queueClaimRows(batch *pgx.Batch, g *requestsByKind, sql string, rows []*claimRow) {
	if len(rows) == 0 {
		return
	}
	batch.Queue(sql, claimColumns.args(rows, claimable, g.claimant())...).Query(func(rows pgx.Rows) error {
		var request int
		var step int64
		_, err := pgx.ForEachRow(rows, []any{&request, &step}, func() error {
			if request < 0 {
				g.noteClaimantDead()
				return nil
			}
			r := g.claims[request]
			r.claimed = append(r.claimed, step)
			return nil
		})
		return err
	})
}

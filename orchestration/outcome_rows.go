package orchestration

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// outcomeRequest asks for the outcome of one attempt to be recorded.
type outcomeRequest struct {
	requestBase
	row    outcomeRow
	claims *claimRequest // made after it, in the same transaction; may be nil

	// The answer: whether the claim was still valid, so that the outcome was recorded,
	// and whether the task ended with it.
	recorded, endedTask bool
}

// outcomeRow is the outcome of one attempt.
type outcomeRow struct {
	request        int32 // the row's place in requestsByKind.outcomes
	step, claimant int64
	attemptNumber  int32
	to, kind       string
	results        json.RawMessage
	failed         *string // JSON
	class          *string // of the error
	started, at    time.Time
	due            *time.Time
	wait           *float64
	reason         *string // null for a success
	last           bool    // every other step of the task is done
	loss           bool    // the attempt does not count
	crash          bool    // its process died
}

// row is the outcome as outcomeSQL takes it.
func (o outcome) row(s *stepRun, claimant int64) outcomeRow {
	row := outcomeRow{
		step: s.id, claimant: claimant, attemptNumber: int32(s.attemptNumber), to: string(o.to), kind: o.kind, results: o.results,
		class: classOf(o.err), started: o.started, at: o.ended, wait: o.wait,
		last: o.last && o.to.Done(), loss: o.loss, crash: o.crash,
	}
	if o.err != nil {
		failed := errorJSON(o.err)
		row.failed = &failed
	}
	if o.to != StepComplete {
		row.reason = &o.reason
	}
	if o.to == StepWaitingForRetry {
		row.due = &o.due
	}
	return row
}

func (r *outcomeRequest) join(g *requestsByKind) {
	r.recorded, r.endedTask = false, false
	r.row.request = int32(len(g.outcomes))
	g.outcomes, g.outcomeRows = append(g.outcomes, r), append(g.outcomeRows, &r.row)
	if r.claims != nil {
		r.claims.join(g)
	}
}

var outcomeColumns = columns[*outcomeRow]{
	newColumn("request", "int", func(r *outcomeRow) int32 { return r.request }),
	newColumn("step_id", "bigint", func(r *outcomeRow) int64 { return r.step }),
	newColumn("claimant", "bigint", func(r *outcomeRow) int64 { return r.claimant }),
	newColumn("attempt", "int", func(r *outcomeRow) int32 { return r.attemptNumber }),
	newColumn("to_state", "text", func(r *outcomeRow) string { return r.to }),
	newColumn("outcome", "text", func(r *outcomeRow) string { return r.kind }),
	newColumn("results", "text", func(r *outcomeRow) *string { return textOf(r.results) }),
	newColumn("error", "text", func(r *outcomeRow) *string { return r.failed }),
	newColumn("error_class", "text", func(r *outcomeRow) *string { return r.class }),
	newColumn("started_at", "timestamptz", func(r *outcomeRow) time.Time { return r.started }),
	newColumn("at", "timestamptz", func(r *outcomeRow) time.Time { return r.at }),
	newColumn("due_at", "timestamptz", func(r *outcomeRow) *time.Time { return r.due }),
	newColumn("wait", "float8", func(r *outcomeRow) *float64 { return r.wait }),
	newColumn("reason", "text", func(r *outcomeRow) *string { return r.reason }),
	newColumn("last", "bool", func(r *outcomeRow) bool { return r.last }),
	newColumn("loss", "bool", func(r *outcomeRow) bool { return r.loss }),
	newColumn("crash", "bool", func(r *outcomeRow) bool { return r.crash }),
}

// textOf copies a document when it is sent, and not before: it may be large, and wait.
func textOf(document json.RawMessage) *string {
	if document == nil {
		return nil
	}
	text := string(document)
	return &text
}

// outcomeSQL records outcomes: the step's new state, the row of the attempt and, if the
// step was the task's last, the end of the task. Each row
// stands alone. If its claim is no longer valid, nothing is recorded for it.
//
// $1 is stepMoves, and outcomeColumns follow. It returns (request, whether the task
// ended) of each recorded outcome.
var outcomeSQL = `
	with i as (
		select * from ` + outcomeColumns.unnest("i", 2) + `),
	o as (
		select i.*, s.task_id
		from i join tasker.steps s on s.step_id = i.step_id and s.claimed_by = i.claimant and s.attempts = i.attempt
		where s.state || '>' || i.to_state = any($1)
		order by s.step_id for no key update of s),
	u as (
		update tasker.steps s
		set state = o.to_state, claimed_by = null, losses = s.losses + o.loss::int, crashes = s.crashes + o.crash::int, backoff_request_seconds = o.wait,
			next_attempt_at = case when o.to_state = 'waiting_for_retry' then o.due_at end,
			ended_at = case when o.to_state in ('complete', 'error') then o.at end
		from o where s.step_id = o.step_id
		returning o.*),
	a as (
		insert into tasker.attempts (step_id, attempt, outcome, results, results_bytes, error, error_class, started_at, ended_at, claimed_by, to_state, reason)
		select step_id, attempt, outcome, results::json, case when octet_length(results) > ` + strconv.Itoa(smallResult) + ` then octet_length(results) end, error::json, error_class, started_at, at, claimant,
			case when outcome <> 'complete' then to_state end, reason from u),
	k as (
		update tasker.tasks t set state = 'complete', ended_at = u.at from u
		where u.last and t.task_id = u.task_id and t.state = 'in_progress' and not exists (
			select 1 from tasker.steps x
			where x.task_id = u.task_id and x.step_id <> u.step_id and x.state not in ('complete', 'resolved_manually'))
		returning t.task_id, u.request, u.at),
	q as (delete from tasker.queue q using k where q.task_id = k.task_id)
	select request, exists (select 1 from k where k.request = u.request) from u`

// stepMoves are the allowed transitions of steps, in the form that outcomeSQL
// compares.
var stepMoves = func() []string {
	var moves []string
	for from, targets := range StepTransitions {
		for _, to := range targets {
			moves = append(moves, string(from)+">"+string(to))
		}
	}
	return moves
}()

// queueOutcomes adds the group's outcomes to the batch.
func queueOutcomes(batch *pgx.Batch, g *requestsByKind) {
	if len(g.outcomes) == 0 {
		return
	}
	batch.Queue(outcomeSQL, outcomeColumns.args(g.outcomeRows, stepMoves)...).Query(func(rows pgx.Rows) error {
		var request int
		var ended bool
		_, err := pgx.ForEachRow(rows, []any{&request, &ended}, func() error {
			r := g.outcomes[request]
			r.recorded, r.endedTask = true, ended
			return nil
		})
		return err
	})
}

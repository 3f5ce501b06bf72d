package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A step's SQL and its success are committed together, in a transaction that no
// other step shares. The statements below do the same as outcomeSQL, for one
// step that succeeded. PostgreSQL can plan them once.
//
// The commit follows them in the same round trip. A statement must therefore
// fail when the transaction may not be committed.

// successInTxSQL fails with claimLostState if the engine lost the claim.
// Its parameters:
// $1 step, $2 claimant, $3 attempt, $4 started, $5 ended, $6 results.
const successInTxSQL = `
	with u as (
		update tasker.steps
		set state = 'complete', claimed_by = null, backoff_request_seconds = null, ended_at = $5
		where step_id = $1 and claimed_by = $2 and attempts = $3 and state = 'in_progress'
		returning step_id),
	a as (
		insert into tasker.attempts (step_id, attempt, outcome, results, started_at, ended_at, claimed_by)
		select step_id, $3, 'complete', $6::json, $4, $5, $2 from u)
	select coalesce((select true from u), tasker.claim_lost())`

// completeTaskSQL completes the task if every step is done in the database. The task
// in memory may be out of date: a person may have changed a step, or a server with
// asynchronous commits may have lost some in a crash.
const completeTaskSQL = `
	with k as (
		update tasker.tasks t set state = 'complete', ended_at = $2
		where task_id = $1 and state = 'in_progress' and not exists (
			select 1 from tasker.steps s where s.task_id = t.task_id and s.state not in ('complete', 'resolved_manually'))
		returning task_id)
	delete from tasker.queue q using k where q.task_id = k.task_id`

// claimLostState is the SQLSTATE of tasker.claim_lost().
const claimLostState = "TK001"

// commitInTx records a success in the handler's transaction and commits it. It
// reports whether that ended the task. The claims, if any, are made in the same commit.
func (a *attempt) commitInTx(ctx context.Context, o outcome, claims *claimRequest) (endedTask bool, err error) {
	s := a.step
	err = a.x.session.Commit(ctx, func(batch *pgx.Batch) {
		batch.Queue(successInTxSQL, s.id, a.claimant, s.attemptNumber, o.started, o.ended, string(o.results))
		if claims != nil {
			claims.claimed, claims.dead = nil, false
			rows := make([]*claimRow, len(claims.rows))
			for i := range claims.rows {
				rows[i] = &claims.rows[i]
			}
			queueClaimRows(batch, rows, a.claimant, func(request int, step int64) {
				if request < 0 {
					claims.dead = true
				} else {
					claims.claimed = append(claims.claimed, step)
				}
			})
		}
		if o.last {
			batch.Queue(completeTaskSQL, a.x.TaskID, o.ended).Exec(func(tag pgconn.CommandTag) error {
				endedTask = tag.RowsAffected() == 1
				return nil
			})
		}
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == claimLostState {
		return false, errClaimLost
	}
	return endedTask && err == nil, recordingError(s, err)
}

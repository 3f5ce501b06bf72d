package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// What a step has written commits with its success, in a transaction of its
// own. The statements of this file are what outcomeSQL is for many, but planned
// once, and written for this one transition; and the commit comes right behind
// them in the same round trip, so that they must fail where nothing may be
// committed.

// ownSuccessSQL fails with claimLostState if the claim is not the engine's any more.
const ownSuccessSQL = `
	with u as (
		update tasker.steps
		set state = 'complete', claimed_by = null, backoff_request_seconds = null, ended_at = $5
		where step_id = $1 and claimed_by = $2 and attempts = $3 and state = 'in_progress'
		returning step_id),
	a as (
		insert into tasker.attempts (step_id, attempt, outcome, results, started_at, ended_at)
		select step_id, $3, 'complete', $6::json, $4, $5 from u),
	w as (
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at)
		select step_id, 'in_progress', 'complete', $3, $7, $5 from u)
	select coalesce((select true from u), tasker.claim_lost())`

// endTaskSQL completes the task if every step is done in the database too: a
// person may have changed something, or a server that does not wait for its disk
// may have lost commits in a crash.
const endTaskSQL = `
	with k as (
		update tasker.tasks t set state = 'complete', ended_at = $2, held_by = null
		where task_id = $1 and state = 'in_progress' and not exists (
			select 1 from tasker.steps s where s.task_id = t.task_id and s.state not in ('complete', 'resolved_manually'))
		returning task_id)
	insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
	select task_id, 'in_progress', 'complete', 'every step is done', $2 from k`

// claimLostState is the SQLSTATE of tasker.claim_lost().
const claimLostState = "TK001"

// commitOwn records a success in the transaction of the step's own SQL, and
// commits that. It reports whether it ended the task.
func commitOwn(ctx context.Context, session *sqlsession.Session, taskID int64, s *stepRun, claimant int64, o outcome) (endedTask bool, err error) {
	err = session.Commit(ctx, func(batch *pgx.Batch) {
		batch.Queue(ownSuccessSQL, s.id, claimant, s.number, o.started, o.ended, string(o.results), reasonOf(o))
		if o.last {
			batch.Queue(endTaskSQL, taskID, o.ended).Exec(func(tag pgconn.CommandTag) error {
				endedTask = tag.RowsAffected() == 1
				return nil
			})
		}
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == claimLostState {
		return false, errClaimLost
	}
	return endedTask && err == nil, recording(s, true, err)
}

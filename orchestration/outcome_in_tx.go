package orchestration

import (
	"context"
	"fmt"
	"slices"
	"strings"

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

// successInTxSQL fails with claimLostState if the engine lost the claim. It also claims up
// to so many next steps, under the conditions of claimSQL, and returns the claimed ones.
//
// Its parameters: $1 step, $2 claimant, $3 attempt, $4 started, $5 ended, $6 results; if
// there are next steps $7 the task, and then for each the step, the number of its latest attempt, and
// the other steps that must be done.
func successInTxSQL(next int) string {
	if next == 0 {
		return `
	with ` + successCTEs + `
	select coalesce((select true from u), tasker.claim_lost()), '{}'::bigint[]`
	}
	rows := make([]string, next)
	for i := range rows {
		p := 8 + 3*i
		rows[i] = fmt.Sprintf("($%d::bigint, $%d::int, $%d::bigint[])", p, p+1, p+2)
	}
	return `
	with ` + successCTEs + `,
	n as (
		update tasker.steps s
		set state = 'in_progress', attempts = s.attempts + 1, claimed_by = $2, last_attempted_at = $5, next_attempt_at = null
		from (values ` + strings.Join(rows, ", ") + `) as i (step_id, attempts, awaited)
		where s.step_id = i.step_id and s.attempts = i.attempts and s.state in ('pending', 'waiting_for_retry')
			and exists (select from u)
			and exists (select from tasker.tasks where task_id = $7 and state = 'in_progress')
			and (i.awaited is null or not exists (
				select from tasker.steps p where p.step_id = any(i.awaited) and p.state not in ('complete', 'resolved_manually')))
			and ` + livesSQL("$2::bigint") + `
		returning s.step_id)
	select coalesce((select true from u), tasker.claim_lost()), array(select step_id from n)`
}

// successCTEs record the success.
const successCTEs = `u as (
		update tasker.steps
		set state = 'complete', claimed_by = null, backoff_request_seconds = null, ended_at = $5
		where step_id = $1 and claimed_by = $2 and attempts = $3 and state = 'in_progress'
		returning step_id),
	a as (
		insert into tasker.attempts (step_id, attempt, outcome, results, started_at, ended_at, claimed_by)
		select step_id, $3, 'complete', $6::json, $4, $5, $2 from u)`

// successSizes are the numbers of next steps for which there is a statement. What is left
// over is null. A connection prepares only so many statements then.
var successSizes = []int{0, 1, 2, maxNext}

// maxNext is how many claims one success takes along.
const maxNext = 8

var successSQLs = func() map[int]string {
	texts := map[int]string{}
	for _, n := range successSizes {
		texts[n] = successInTxSQL(n)
	}
	return texts
}()

// queueSuccess adds the statement for a success and the claims that come with it.
func (a *attempt) queueSuccess(batch *pgx.Batch, o outcome, claims *claimRequest) {
	s := a.step
	args := []any{s.id, a.claimant, s.attemptNumber, o.started, o.ended, string(o.results)}
	var size int
	if claims != nil {
		claims.claimed = nil
		size = successSizes[slices.IndexFunc(successSizes, func(n int) bool { return n >= len(claims.rows) })]
		args = append(args, a.x.TaskID)
		for i := range size {
			if i < len(claims.rows) {
				row := &claims.rows[i]
				row.at = o.ended
				args = append(args, row.step, row.attemptNumber, nilIfEmpty(row.awaited[1:]))
			} else {
				args = append(args, nil, nil, nil)
			}
		}
	}
	batch.Queue(successSQLs[size], args...).QueryRow(func(row pgx.Row) error {
		var recorded bool
		var claimed []int64
		err := row.Scan(&recorded, &claimed)
		if claims != nil {
			claims.claimed = claimed
		}
		return err
	})
}

func nilIfEmpty(ids []int64) []int64 {
	if len(ids) == 0 {
		return nil
	}
	return ids
}

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
	err = a.x.session.Commit(ctx, func(batch *pgx.Batch) {
		a.queueSuccess(batch, o, claims)
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
	return endedTask && err == nil, recordingError(a.step, err)
}

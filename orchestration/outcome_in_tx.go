package orchestration

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A step's SQL and its success are committed together, in a transaction that no
// other step shares. The statements below do the same as outcomeSQL, for one
// step that succeeded. PostgreSQL can plan them once.
//
// The commit follows them in the same round trip. A statement must therefore
// fail when the transaction may not be committed.

// successInTxSQL fails with claimLostState if the engine lost the claim. It returns the
// steps that it has claimed, and whether the task has ended. $1 to $6 are the step, the
// claimant, the attempt, when it started and ended, and the results; $7 is their size if
// they are large. What follows is the
// succession: nothing, or successEndsTask, or claims by successClaims.
func successInTxSQL(ctes, claimed, ended string) string {
	return `
	with u as (
		update tasker.steps
		set state = 'complete', claimed_by = null, backoff_request_seconds = null, ended_at = $5
		where step_id = $1 and claimed_by = $2 and attempts = $3 and state = 'in_progress'
		returning step_id),
	a as (
		insert into tasker.attempts (step_id, attempt, outcome, results, results_bytes, started_at, ended_at, claimed_by)
		select step_id, $3, 'complete', $6::json, $7, $4, $5, $2 from u)` + ctes + `
	select coalesce((select true from u), tasker.claim_lost()), ` + claimed + ", " + ended
}

// successEndsTask completes the task ($8) if every other step is done in the database. The
// task in memory may be out of date: a person may have changed a step, or a server with
// asynchronous commits may have lost some in a crash. The number is in a query of its own
// so that PostgreSQL does not plan anew for each.
const successEndsTask = `,
	k as (
		update tasker.tasks t set state = 'complete', ended_at = $5
		where task_id = (select $8::bigint) and state = 'in_progress' and exists (select from u) and not exists (
			select from tasker.steps s
			where s.task_id = (select $8::bigint) and s.step_id <> $1 and s.state not in ('complete', 'resolved_manually'))
		returning task_id),
	q as (delete from tasker.queue q using k where q.task_id = k.task_id)`

// successClaims claims up to so many next steps of the task ($8), under the conditions of
// claimSQL. For each there are three parameters: the step, the number of its latest attempt,
// and the other steps that must be done. It waits for no lock: the success holds its own
// step already, and an operator may lock the two in the other order.
func successClaims(next int) string {
	rows := make([]string, next)
	for i := range rows {
		p := 9 + 3*i
		rows[i] = fmt.Sprintf("($%d::bigint, $%d::int, $%d::bigint[])", p, p+1, p+2)
	}
	return `,
	n as (
		update tasker.steps s
		set state = 'in_progress', attempts = s.attempts + 1, claimed_by = $2, last_attempted_at = $5, next_attempt_at = null
		from (
			select x.step_id
			from (values ` + strings.Join(rows, ", ") + `) as i (step_id, attempts, awaited)
			join tasker.steps x on x.step_id = i.step_id and x.attempts = i.attempts
			where x.state in ('pending', 'waiting_for_retry')
				and exists (select from u)
				and exists (select from tasker.tasks where task_id = $8 and state = 'in_progress')
				and (i.awaited is null or not exists (
					select from tasker.steps p where p.step_id = any(i.awaited) and p.state not in ('complete', 'resolved_manually')))
				and ` + livesSQL("$2::bigint") + `
			for no key update of x skip locked) o
		where s.step_id = o.step_id
		returning s.step_id)`
}

// maxNext is how many claims one success takes along.
const maxNext = 8

// successSizes are the numbers of claims for which there is a statement. Parameters that are
// left over are null. So a connection prepares only a few statements. There is none for one
// claim: PostgreSQL turns a single row of values into constants, finds such a plan cheaper,
// and then plans at each call, which takes longer than the statement.
var successSizes = []int{2, maxNext}

// The statements for a success.
var (
	successSQL     = successInTxSQL("", "null::bigint[]", "false")
	lastSuccessSQL = successInTxSQL(successEndsTask, "null::bigint[]", "exists (select from k)")
	// claimingSuccessSQLs are by the number of claims.
	claimingSuccessSQLs = func() map[int]string {
		texts := map[int]string{}
		for _, n := range successSizes {
			texts[n] = successInTxSQL(successClaims(n), "array(select step_id from n)", "false")
		}
		return texts
	}()
)

// successStatement is the statement for a success and its succession.
func (a *attempt) successStatement(o outcome, claims *claimRequest) (sql string, args []any) {
	args = []any{a.step.id, a.claimant, a.step.attemptNumber, o.started, o.ended, string(o.results), storedBytes(o.results)}
	sql = successSQL
	switch {
	case o.last:
		sql, args = lastSuccessSQL, append(args, a.x.TaskID)
	case claims != nil:
		size := successSizes[slices.IndexFunc(successSizes, func(n int) bool { return n >= len(claims.rows) })]
		sql, args = claimingSuccessSQLs[size], append(args, a.x.TaskID)
		for i := range claims.rows {
			row := &claims.rows[i]
			row.at = o.ended
			args = append(args, row.step, row.attemptNumber, nilIfEmpty(row.awaited[1:]))
		}
		args = append(args, make([]any, 3*(size-len(claims.rows)))...)
	}
	return sql, args
}

// scanSuccess notes the claims that were made, and whether the task has ended.
func scanSuccess(row pgx.Row, claims *claimRequest, endedTask *bool) error {
	var recorded bool
	var claimed []int64
	err := row.Scan(&recorded, &claimed, endedTask)
	if claims != nil {
		claims.claimed = claimed
	}
	return err
}

func nilIfEmpty(ids []int64) []int64 {
	if len(ids) == 0 {
		return nil
	}
	return ids
}

// claimLostState is the SQLSTATE of tasker.claim_lost().
const claimLostState = "TK001"

// commitInTx records a success in the handler's transaction and commits it. It
// reports whether that ended the task. The claims, if any, are made in the same commit.
func (a *attempt) commitInTx(ctx context.Context, o outcome, claims *claimRequest) (endedTask bool, err error) {
	err = a.x.session.Commit(ctx, func(batch *pgx.Batch) {
		sql, args := a.successStatement(o, claims)
		batch.Queue(sql, args...).QueryRow(func(row pgx.Row) error { return scanSuccess(row, claims, &endedTask) })
	})
	return endedTask && err == nil, a.commitError(err)
}

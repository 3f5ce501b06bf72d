package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// recordedSQL reads the outcome of one attempt. The time of its start tells it from an
// attempt of the same number that another engine made after the server had lost
// commits. Its parameters: $1 step, $2 attempt, $3 started.
const recordedSQL = `
	select a.outcome, k.state = 'complete'
	from tasker.attempts a join tasker.steps s using (step_id) join tasker.tasks k using (task_id)
	where a.step_id = $1 and a.attempt = $2 and a.started_at = $3`

// recognized looks at the attempt's row when the claim seems to be lost. If the row has
// this outcome, an earlier try had succeeded and its answer was lost: then there is no
// error.
func (a *attempt) recognized(ctx context.Context, r attemptResult) attemptResult {
	if !errors.Is(r.err, errClaimLost) || r.released {
		return r
	}
	var kind string
	var ended bool
	err := a.engine.group.exec(ctx, func(rows pgx.Rows) error {
		kind = ""
		for rows.Next() {
			if err := rows.Scan(&kind, &ended); err != nil {
				return err
			}
		}
		return rows.Err()
	}, recordedSQL, a.step.id, a.step.attemptNumber, a.step.lastAttempted)
	switch {
	case err != nil:
		r.err = errors.Wrapf(err, "reading the outcome of step %q", a.step.template.Name)
	case kind == r.outcome.kind:
		r.err, r.endedTask = nil, ended && r.outcome.last
		if r.outcome.to == StepComplete {
			r.err = errors.Wrapf(a.engine.recall(ctx, r.follows.requested()), "reading the claims that came with step %q", a.step.template.Name)
		}
	}
	return r
}

// commitFailed is the outcome of an attempt whose success could not be committed. What
// may pass is no fault of the handler, and does not count, up to a limit.
func (a *attempt) commitFailed(err error) outcome {
	failure, s := commitFailure(err), a.step
	passing := sqlsession.Passing(err) || errors.Is(err, context.DeadlineExceeded)
	if !passing || !s.retries || s.losses+1 >= maxLosses {
		return a.failedOutcome(failure)
	}
	now := a.engine.now()
	o := lostOutcome(s, now, "its commit failed: "+storableText(failure.Class), failure)
	o.due = now.Add(lossWait(s))
	return o
}

// lossWait is the wait after a loss that this engine records itself. It doubles with each
// loss of the step.
func lossWait(s *stepRun) time.Duration { return min(lossWaitMin<<s.losses, lossWaitMax) }

const (
	lossWaitMin = 20 * time.Millisecond
	lossWaitMax = 5 * time.Second
)

// handlerFailed is the outcome of an attempt whose handler failed. failed is the error
// that its session met; it may be nil. A step that lost its connection is at fault only
// while its claim lives: whatever cuts an engine off, or has it taken for dead, ends the
// connections of its steps too.
func (a *attempt) handlerFailed(ctx context.Context, failure *StepError, failed *sqlsession.Error) outcome {
	if !lostConnection(failure, failed) || a.claimLives(ctx) {
		return a.failedOutcome(failure)
	}
	now := a.engine.now()
	o := lostOutcome(a.step, now, "its connection was lost, and its claim with the engine's session", failure)
	o.due = now.Add(lossWait(a.step))
	return o
}

func lostConnection(failure *StepError, failed *sqlsession.Error) bool {
	return failed != nil && sqlsession.ConnectionLost(failed) || failure.Class == "Tasker::SQLError::ConnectionLost" ||
		failure.Err != nil && sqlsession.ConnectionLost(failure.Err)
}

// claimLives reports whether the attempt's claim is alive. It waits for a database that
// does not answer; the outcome would have to wait too.
func (a *attempt) claimLives(ctx context.Context) bool {
	if number, _ := a.engine.session.current(); number != a.claimant {
		return false
	}
	lives := true
	err := a.engine.group.exec(ctx, func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(&lives); err != nil {
				return err
			}
		}
		return rows.Err()
	}, "select "+livesSQL("$1::bigint"), a.claimant)
	return err != nil || lives
}

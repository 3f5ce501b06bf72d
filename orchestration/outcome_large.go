package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// largeSuccess asks for a success without SQL whose results are large to be recorded. It is
// sent alone, with the statement for one step: that of a group would have the server copy
// the results several times.
type largeSuccess struct {
	requestBase
	attempt *attempt
	outcome outcome
	claims  *claimRequest // as with outcomeRequest; may be nil
	ended   bool          // the answer: whether the task ended with it
}

// join makes the statement when it is sent, because it holds a copy of the results.
func (r *largeSuccess) join(g *requestsByKind) {
	sql, args := r.attempt.successStatement(r.outcome, r.claims)
	g.sql = append(g.sql, &sqlRequest{sql: sql, args: args, read: func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scanSuccess(rows, r.claims, &r.ended); err != nil {
				return err
			}
		}
		return rows.Err()
	}})
}

func (a *attempt) commitLarge(ctx context.Context, o outcome, claims *claimRequest) (endedTask bool, err error) {
	r := &largeSuccess{requestBase: requestBase{ctx: ctx}, attempt: a, outcome: o, claims: claims}
	if err := a.engine.group.commitLarge(r, len(o.results)); err != nil {
		return false, a.commitError(err)
	}
	return r.ended, nil
}

// commitError is the error of a commit with one of the statements for one step.
func (a *attempt) commitError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == claimLostState {
		return errClaimLost
	}
	return recordingError(a.step, err)
}

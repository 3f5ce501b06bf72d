package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// ownTxTries is how often a transaction of the engine's own is tried, and ownTxWait the
// first pause between two tries. The pause doubles. Together that is some ten seconds,
// longer than it takes to find an engine dead and to end its transactions.
const (
	ownTxTries = 8
	ownTxWait  = 50 * time.Millisecond
)

// inOwnTx runs f in a transaction for the call of a person or a program, and again if
// the cause of a failure may have passed. Engines lock the steps of many tasks in one
// commit, in an order that a call cannot follow; PostgreSQL then ends one of the two.
//
// A commit whose answer was lost is not tried again: it may have succeeded.
func (e *Engine) inOwnTx(ctx context.Context, f func(pgx.Tx) error) error {
	wait := ownTxWait
	for tries := 1; ; tries++ {
		committing := false
		err := pgx.BeginTxFunc(ctx, e.pool, ownTx, func(tx pgx.Tx) error {
			err := f(tx)
			committing = err == nil
			return err
		})
		switch {
		case err == nil:
			return nil
		case committing && sqlsession.ConnectionLost(err):
			return errors.WithHint(errors.Wrap(err, "the answer to the commit was lost; it may have happened"), "Look at the task before you try again.")
		case !sqlsession.Passing(err) || tries == ownTxTries:
			return err
		}
		// An engine that is dead may hold the lock that was waited for.
		if _, _, err := e.living(ctx, nil); err != nil && ctx.Err() == nil {
			e.cfg.Logger.Warn("could not look for dead engines", "error", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		wait *= 2
	}
}

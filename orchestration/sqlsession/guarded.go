package sqlsession

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// guarded is a step's transaction as a handler in Go sees it.
type guarded struct{ pgx.Tx }

var errEngines = errors.WithHint(errors.New("the step's transaction is ended by the engine, with the step's results"),
	"Return an error to have it rolled back; use Begin for a savepoint.")

// Commit is refused.
func (guarded) Commit(context.Context) error { return errEngines }

// Rollback is refused.
func (guarded) Rollback(context.Context) error { return errEngines }

package testbed

import (
	"context"
	_ "embed"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed schema.sql
var schemaSQL string

// checkSchema warns of what the test has changed in the schema.
func (b *Bed) checkSchema(ctx context.Context) error {
	b.baseline.mu.Lock()
	defer b.baseline.mu.Unlock()
	if b.baseline.pool == nil {
		return nil
	}
	var same bool
	err := b.baseline.pool.QueryRow(ctx, "select fingerprint = tasker_testbed.fingerprint() from tasker_testbed.settings").Scan(&same)
	if err != nil || same {
		return errors.Wrap(err, "testbed: looking at the schema")
	}
	return b.mendSchema(ctx)
}

// mendSchema drops the tables that are new, and warns of all other changes. What was
// prepared for the schema before is forgotten.
func (b *Bed) mendSchema(ctx context.Context) error {
	rows, _ := b.baseline.pool.Query(ctx, "select tasker_testbed.mend()")
	changes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return b.explainLocks(ctx, errors.Wrap(err, "testbed: repairing the schema"))
	}
	for _, change := range changes {
		b.warn("the schema of the database has changed: " + change)
	}
	b.sql.forget()
	b.seating.Lock()
	defer b.seating.Unlock()
	b.pool.Reset()
	for _, i := range b.seats {
		i.engine.Pool().Reset()
	}
	return nil
}

// Somebody else has a lock for too long.
const lockNotAvailable = "55P03"

// blockersSQL lists the other sessions with an open transaction.
const blockersSQL = `
	select coalesce(nullif(application_name, ''), 'a client') || ', which is ' || state || ' after: ' || left(query, 200)
	from pg_stat_activity
	where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
	order by xact_start limit 3`

// explainLocks says who has the lock for which a statement has waited in vain.
func (b *Bed) explainLocks(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != lockNotAvailable {
		return err
	}
	rows, _ := b.own.Query(ctx, blockersSQL)
	blockers, asking := pgx.CollectRows(rows, pgx.RowTo[string])
	if asking != nil || len(blockers) == 0 {
		return err
	}
	return errors.WithHintf(err, "A transaction is still open, of %s. End it in the test that began it.", strings.Join(blockers, "; or of "))
}

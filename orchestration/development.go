package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// ErrNotForDevelopment says that a database does not have the mark of [MarkDevelopment].
var ErrNotForDevelopment = errors.New("the database is not marked for development")

// developmentMarkSQL is the comment that marks a database. It is on the table whose rows may
// be replaced then, and names the database: a copy of it under another name has no mark.
const developmentMarkSQL = `'tasker-rb: for development, in ' || current_database()`

const readMarkSQL = `select coalesce(obj_description(to_regclass('tasker.templates'), 'pg_class') = ` + developmentMarkSQL + `, false)`

// MarkDevelopment marks a database for development: Submission.ReplaceTemplate works in it.
// The mark is a comment on the table tasker.templates, and goes with the table. A database
// that is restored from a dump under another name is not marked.
func MarkDevelopment(ctx context.Context, conn *pgx.Conn) error {
	marked, err := IsForDevelopment(ctx, conn)
	if err != nil || marked {
		return err
	}
	var mark string
	err = conn.QueryRow(ctx, "select quote_literal("+developmentMarkSQL+")").Scan(&mark)
	if err == nil {
		_, err = conn.Exec(ctx, "comment on table tasker.templates is "+mark)
	}
	return errors.Wrap(err, "marking the database for development")
}

// IsForDevelopment reports whether the database has the mark of [MarkDevelopment].
func IsForDevelopment(ctx context.Context, conn *pgx.Conn) (bool, error) {
	return isMarked(ctx, conn)
}

func isMarked(ctx context.Context, db querier) (marked bool, err error) {
	err = db.QueryRow(ctx, readMarkSQL).Scan(&marked)
	return marked, errors.Wrap(err, "looking for the mark of development")
}

// The environment of a template that was replaced ends with its own digest. So the row keeps
// its digest, its number and its document, which tasks need, and leaves its place to another.
const (
	replacedSuffixSQL = `'~' || digest`
	isReplacedSQL     = `right(environment, 65) = ` + replacedSuffixSQL
	// environmentSQL is the environment that a template was submitted with.
	environmentSQL = `case when ` + isReplacedSQL + ` then left(environment, -65) else environment end`
)

const (
	// Two that replace the same one take turns. Nobody waits who only reads.
	lockTemplatesSQL = `lock table tasker.templates in share row exclusive mode`

	// setAsideSQL: $1 digest of the successor, $2 namespace, $3 name, $4 version, $5 environment.
	setAsideSQL = `
		update tasker.templates set environment = environment || ` + replacedSuffixSQL + `
		where namespace = $2 and name = $3 and version = $4 and environment = $5 and digest <> $1`

	// takePlaceSQL stores the template, or brings it back if it was set aside. $6 is the
	// document, the others are those of setAsideSQL.
	takePlaceSQL = `
		insert into tasker.templates as t (digest, namespace, name, version, environment, document)
		values ($1, $2, $3, $4, $5, $6)
		on conflict (digest) do update set environment = $5
		where right(t.environment, 65) = '~' || t.digest`
)

// replaceTemplate puts the template in the place of the stored one.
func replaceTemplate(ctx context.Context, tx pgx.Tx, t *templates.Template, digest string) error {
	marked, err := isMarked(ctx, tx)
	if err != nil {
		return err
	}
	if !marked {
		return errors.WithHint(errorOf(ErrNotForDevelopment, "%v, so the template %s is not replaced", ErrNotForDevelopment, t.ID()),
			"Give the changed template a new version, or mark the database with `tasker-rb dev --mark-database`.")
	}
	var batch pgx.Batch
	batch.Queue(lockTemplatesSQL)
	batch.Queue(setAsideSQL, digest, t.Namespace, t.Name, t.Version, t.Environment)
	batch.Queue(takePlaceSQL, digest, t.Namespace, t.Name, t.Version, t.Environment, string(t.Encode()))
	return errors.Wrapf(tx.SendBatch(ctx, &batch).Close(), "replacing the template %s", t.ID())
}

package orchestration

import (
	"context"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/templates"
)

// ErrNotForDevelopment says that a database does not have the mark of [MarkDevelopment].
var ErrNotForDevelopment = errors.New("the database is not marked for development")

// The comment that marks a database. It is on the table whose rows may be replaced then, and
// names the database and the server: a copy of it in another place has no mark.
const (
	developmentMark    = "tasker-rb: for development, in "
	developmentMarkSQL = `select '` + developmentMark + `' || current_database() || ' of the server ' || system_identifier from pg_control_system()`

	readMarkSQL = `select coalesce(obj_description(to_regclass('tasker.templates'), 'pg_class'), '')`
)

// MarkDevelopment marks a database for development: Submission.ReplaceTemplate works in it.
// The mark is a comment on the table tasker.templates, and goes with the table. It names the
// database and the server. A database that is restored from a dump under another name, or on
// another server, is not marked. A physical copy of the whole server has the server's
// identity, and keeps the mark.
func MarkDevelopment(ctx context.Context, conn *pgx.Conn) error {
	mark, err := developmentMarkOf(ctx, conn)
	if err != nil {
		return err
	}
	var there, comment string
	err = conn.QueryRow(ctx, readMarkSQL).Scan(&there)
	if err != nil || there == mark {
		return errors.Wrap(err, "looking for the mark of development")
	}
	err = conn.QueryRow(ctx, "select quote_literal($1)", mark).Scan(&comment)
	if err == nil {
		_, err = conn.Exec(ctx, "comment on table tasker.templates is "+comment)
	}
	return errors.Wrap(err, "marking the database for development")
}

// IsForDevelopment reports whether the database has the mark of [MarkDevelopment].
func IsForDevelopment(ctx context.Context, conn *pgx.Conn) (bool, error) {
	return isMarked(ctx, conn)
}

func isMarked(ctx context.Context, db querier) (bool, error) {
	var there string
	err := db.QueryRow(ctx, readMarkSQL).Scan(&there)
	if err != nil || !strings.HasPrefix(there, developmentMark) {
		return false, errors.Wrap(err, "looking for the mark of development")
	}
	mark, err := developmentMarkOf(ctx, db)
	return there == mark, err
}

// developmentMarkOf returns the mark of this database on this server.
func developmentMarkOf(ctx context.Context, db querier) (mark string, err error) {
	err = db.QueryRow(ctx, developmentMarkSQL).Scan(&mark)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" {
		err = errors.WithHint(err, "The mark for development holds the server's identity, which this role may not read: GRANT EXECUTE ON FUNCTION pg_control_system() to it.")
	}
	return mark, errors.Wrap(err, "reading the server's identity")
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
	// inPlaceSQL is the digest of the template that has the place. $1 namespace, $2 name, $3 version, $4 environment.
	inPlaceSQL = `select digest from tasker.templates where namespace = $1 and name = $2 and version = $3 and environment = $4`

	// Who changes places has the table alone, except for readers. The transaction must not
	// have written to it before: two of them would wait for each other.
	lockTemplatesSQL = `lock table tasker.templates in share row exclusive mode`

	// setAsideSQL returns the document of the template that it sets aside. $1 is the digest of
	// the successor, and $2 to $5 are the parameters of inPlaceSQL.
	setAsideSQL = `
		update tasker.templates set environment = environment || ` + replacedSuffixSQL + `
		where namespace = $2 and name = $3 and version = $4 and environment = $5 and digest <> $1
		returning document::text`

	// takePlaceSQL stores the template, or brings it back if it was set aside. $6 is the
	// document, and the others are those of setAsideSQL.
	takePlaceSQL = `
		insert into tasker.templates as t (digest, namespace, name, version, environment, document)
		values ($1, $2, $3, $4, $5, $6)
		on conflict (digest) do update set environment = $5
		where right(t.environment, 65) = '~' || t.digest`
)

// replaceTemplate stores the template in the place of another one, which it returns. done is
// false if there is none, and the database is not for development: then the template is to
// be stored as elsewhere.
func replaceTemplate(ctx context.Context, tx pgx.Tx, t *templates.Template, digest string) (replaced *templates.Template, done bool, err error) {
	var there string
	err = tx.QueryRow(ctx, inPlaceSQL, t.Namespace, t.Name, t.Version, t.Environment).Scan(&there)
	if err == nil && there == digest {
		return nil, true, nil
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, false, errors.Wrap(err, "looking for the stored template")
	}
	marked, err := isMarked(ctx, tx)
	switch {
	case err != nil:
		return nil, false, err
	case !marked && there == "":
		return nil, false, nil
	case !marked:
		return nil, false, errors.WithHint(errorOf(ErrNotForDevelopment, "%v, so the template %s is not replaced", ErrNotForDevelopment, t.ID()),
			"Give the changed template a new version, or mark the database with `tasker-rb dev --mark-database`.")
	}
	var batch pgx.Batch
	batch.Queue(lockTemplatesSQL)
	batch.Queue(setAsideSQL, digest, t.Namespace, t.Name, t.Version, t.Environment).QueryRow(func(row pgx.Row) error {
		var document string
		if err := row.Scan(&document); err != nil {
			return ignoreNoRows(err)
		}
		replaced, _ = templates.Decode([]byte(document)) // nil if a later version of this program has written it
		return nil
	})
	batch.Queue(takePlaceSQL, digest, t.Namespace, t.Name, t.Version, t.Environment, string(t.Encode()))
	err = tx.SendBatch(ctx, &batch).Close()
	return replaced, err == nil, errors.Wrapf(err, "replacing the template %s", t.ID())
}

func ignoreNoRows(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

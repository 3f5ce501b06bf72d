package orchestration

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	versionTable = "tasker.schema_version"
	supportTable = "tasker.schema_support"
)

// Schema is the version of a database's tables.
type Schema struct {
	Version int32 // of the tables; 0 if they do not exist
	Latest  int32 // the version that this program makes
	Oldest  int32 // the oldest version of a program that may work on the tables
}

// Current reports whether the tables have this program's version.
func (s Schema) Current() bool { return s.Version == s.Latest }

// Supported reports whether this program can work with the tables: they have its version,
// or a later one that still admits it.
func (s Schema) Supported() bool { return s.Current() || s.newer() && s.Oldest <= s.Latest }

func (s Schema) newer() bool { return s.Version > s.Latest }

// ErrSchemaNewer says that a later program has migrated the database.
var ErrSchemaNewer = errors.New("the database's tables are newer than this program")

// ErrSchemaOlder says that the database needs [Migrate].
var ErrSchemaOlder = errors.New("the database's tables are older than this program")

// ErrSearchPath says that a handler's table names would refer to the engine's tables.
var ErrSearchPath = errors.New("the schema tasker comes first in the search_path")

// ReadSchema reads the version of the tables. It changes nothing. It returns
// [ErrSchemaForeign] if the schema tasker is another program's.
func ReadSchema(ctx context.Context, conn *pgx.Conn) (Schema, error) {
	latest, err := latestVersion()
	if err != nil {
		return Schema{}, err
	}
	s := Schema{Latest: latest}
	contents, err := readContents(ctx, conn)
	if err != nil {
		return s, err
	}
	var says bool
	if contents.versionTable {
		err = conn.QueryRow(ctx, "select version, to_regclass($1) is not null from "+versionTable, supportTable).Scan(&s.Version, &says)
	}
	if err == nil {
		if err := contents.foreign(s.Version); err != nil {
			return Schema{Latest: latest}, err
		}
	}
	switch {
	case err != nil:
	case says:
		err = conn.QueryRow(ctx, "select version, oldest from "+versionTable+", "+supportTable).Scan(&s.Version, &s.Oldest)
	default: // the tables of version 5, and before, admit one version only
		s.Oldest = s.Version
	}
	return s, errors.Wrap(err, "reading the schema version")
}

// CheckSchema returns nil if this program can work with the tables, and otherwise
// [ErrSchemaOlder], [ErrSchemaNewer] or [ErrSchemaForeign] with a hint. It can if they have its version, or a
// later one that still admits it.
//
// It returns [ErrSearchPath] if unqualified names find the engine's tables first. For a
// role called tasker, PostgreSQL's default search_path does that. It returns
// [ErrServerTooOld] for a server that this program does not work on.
func CheckSchema(ctx context.Context, conn *pgx.Conn) error {
	if err := checkServer(conn); err != nil {
		return err
	}
	s, err := ReadSchema(ctx, conn)
	switch {
	case err != nil:
		return err
	case s.Version == 0:
		return errors.WithHint(&schemaError{ErrSchemaOlder, "the database has no tables of tasker-rb yet"}, "Create them with `tasker-rb migrate up`.")
	case s.Version < s.Latest:
		return errors.WithHint(atVersion(ErrSchemaOlder, s), "Run `tasker-rb migrate up`.")
	case !s.Supported():
		return newerError(s)
	default:
		return checkSearchPath(ctx, conn)
	}
}

func checkSearchPath(ctx context.Context, conn *pgx.Conn) error {
	var first bool
	if err := conn.QueryRow(ctx, "select coalesce(current_schema() = 'tasker', false)").Scan(&first); err != nil {
		return errors.Wrap(err, "reading the search_path")
	}
	if !first {
		return nil
	}
	return errors.WithHint(&schemaError{ErrSearchPath, ErrSearchPath.Error() + ": a table of yours called steps would be the engine's"},
		"Add search_path=public to the parameters of DATABASE_URL, or run ALTER ROLE tasker SET search_path = public.")
}

func atVersion(what error, s Schema) error {
	return &schemaError{what, fmt.Sprintf("%v: they are at version %d, it needs %d", what, s.Version, s.Latest)}
}

// schemaError is one of the errors above with a message of its own. errors.Mark does not
// work here: the standard library's errors.Is ignores it.
type schemaError struct {
	what error
	text string
}

func (e *schemaError) Error() string { return e.text }
func (e *schemaError) Unwrap() error { return e.what }

// newerError says what the tables need.
func newerError(s Schema) error {
	return errors.WithHintf(atVersion(ErrSchemaNewer, s),
		"Use a tasker-rb whose own version of the tables is %d or later; its `tasker-rb migrate status` prints it.", s.Oldest)
}

// Migrate brings the tables to this program's version. It does nothing if they have a
// later version that still admits this program. Many processes may call it at the
// same time: tern holds an advisory lock meanwhile. It returns [ErrServerTooOld] for a
// server that this program does not work on, and [ErrSchemaForeign] if the schema tasker is
// another program's.
func Migrate(ctx context.Context, conn *pgx.Conn) error {
	if err := checkServer(conn); err != nil {
		return err
	}
	s, err := ReadSchema(ctx, conn)
	if err != nil || s.Supported() {
		return err
	}
	if s.newer() {
		return newerError(s)
	}
	if err := CheckWritable(ctx, conn); err != nil {
		return err
	}
	if err := createSchema(ctx, conn); err != nil {
		return explainMigration(errors.Wrap(err, "creating the schema tasker"))
	}
	m, err := newMigrator(ctx, conn)
	if err != nil {
		return explainMigration(err)
	}
	err = givingWay(ctx, func() error { return m.Migrate(ctx) })
	return explainMigration(errors.Wrap(err, "migrating the database"))
}

// createSchema creates the schema, unless an administrator has done it: "if not exists" needs
// the right to create schemas also if there is nothing to create.
func createSchema(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_namespace where nspname = 'tasker')").Scan(&exists); err != nil || exists {
		return err
	}
	if _, err := conn.Exec(ctx, "create schema tasker"); err != nil && !isDuplicate(err) {
		return err
	}
	return nil
}

// A migration gives way to workers, and is tried so often.
const (
	migrateTries = 100
	migratePause = 50 * time.Millisecond
)

// givingWay calls migrate again while it gives way. What it has done before stays.
func givingWay(ctx context.Context, migrate func() error) error {
	for tries := 1; ; tries++ {
		err := migrate()
		if !gaveWay(err) || tries == migrateTries || sleep(ctx, migratePause) != nil {
			return err
		}
	}
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// MigrateDown undoes migrations down to a version. Version 0 drops all tables with their
// rows. If a migration and a worker wait for each other's locks, the migration gives way and is
// tried again. It returns [ErrSchemaNewer] for any tables that are newer than this program.
func MigrateDown(ctx context.Context, conn *pgx.Conn, version int32) error {
	return MigrateDownIf(ctx, conn, version, nil)
}

// MigrateDownIf is MigrateDown that asks before. It calls allowed in the transaction of each
// migration, with what the tables hold, after it has locked the table of tasks: until that
// migration is undone, no task can come. It asks again for a migration that gave way. If
// allowed returns an error, MigrateDownIf returns it, and undoes neither this migration nor an
// older one. Without allowed, it does not ask.
func MigrateDownIf(ctx context.Context, conn *pgx.Conn, version int32, allowed func(Contents) error) error {
	s, err := ReadSchema(ctx, conn)
	if err != nil {
		return err
	}
	if s.newer() { // only the later program knows how
		return errors.WithHint(atVersion(ErrSchemaNewer, s), "Use the tasker-rb that migrated it: only that one can undo its migrations.")
	}
	if version < 0 || version > s.Version {
		return errors.WithHint(errors.Newf("the database is at version %d and cannot go down to %d", s.Version, version),
			"Name a version between 0 and the current one.")
	}
	if s.Version == 0 {
		return nil
	}
	m, err := newMigrator(ctx, conn)
	if err != nil {
		return explainMigration(err)
	}
	var refused error
	if allowed != nil {
		askBefore(m, func(ctx context.Context, conn *pgx.Conn) error {
			refused = allowedNow(ctx, conn, allowed)
			return refused
		})
	}
	err = givingWay(ctx, func() error {
		refused = nil
		return m.MigrateTo(ctx, version)
	})
	if refused != nil {
		return explainMigration(refused)
	}
	return explainMigration(errors.Wrap(err, "migrating the database down"))
}

// askBefore makes each migration ask before it is undone, in the same transaction.
func askBefore(m *migrate.Migrator, ask migrate.MigrationFunc) {
	for _, one := range m.Migrations {
		undo := one.DownSQL
		one.DownSQL, one.DownFunc = "", func(ctx context.Context, conn *pgx.Conn) error {
			if err := ask(ctx, conn); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, undo)
			return errors.Wrap(err, one.Name)
		}
	}
}

// allowedNow asks with numbers that stay as they are until the transaction ends.
func allowedNow(ctx context.Context, conn *pgx.Conn, allowed func(Contents) error) error {
	if _, err := conn.Exec(ctx, "lock table tasker.tasks"); err != nil {
		return errors.Wrap(err, "locking the tasks")
	}
	c, err := ReadContents(ctx, conn)
	if err != nil {
		return err
	}
	return allowed(c)
}

func latestVersion() (int32, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	return int32(len(names)), errors.Wrap(err, "reading the embedded migrations")
}

func newMigrator(ctx context.Context, conn *pgx.Conn) (*migrate.Migrator, error) {
	m, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return nil, errors.Wrap(err, "preparing the migration")
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, errors.Wrap(err, "reading the embedded migrations")
	}
	return m, errors.Wrap(m.LoadMigrations(files), "reading the embedded migrations")
}

// CheckWritable fails with a hint if the database cannot be written to: it is a standby,
// or the role's transactions are read-only.
func CheckWritable(ctx context.Context, conn *pgx.Conn) error {
	var readOnly bool
	err := conn.QueryRow(ctx, "select current_setting('transaction_read_only')::bool or pg_is_in_recovery()").Scan(&readOnly)
	if err != nil {
		return errors.Wrap(err, "asking whether the database can be written to")
	}
	if readOnly {
		return errors.WithHint(errors.New("the database is read-only"),
			"Connect to the primary server, as a role whose default_transaction_read_only is off.")
	}
	return nil
}

// isDuplicate recognizes a lost race.
func isDuplicate(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "23505" || pg.Code == "42P06")
}

// gaveWay recognizes that the migration was rolled back because it had waited for a lock,
// or because it and the statement of a worker waited for each other.
func gaveWay(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "55P03")
}

func explainMigration(err error) error {
	var pg *pgconn.PgError
	switch {
	case gaveWay(err):
		return errors.WithHint(err, "A transaction keeps the tables locked; pg_stat_activity shows it. Wait for its end, and run the command again.")
	case errors.As(err, &pg) && pg.Code == "42501":
		return errors.WithHint(err, "The role needs CREATE on the database, or USAGE and CREATE on a schema tasker that is there already and empty, or a migrated database.")
	}
	return err
}

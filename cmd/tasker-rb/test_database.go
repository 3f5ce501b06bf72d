package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// testSettings are those of a private server for tests.
var testSettings = map[string]string{
	"max_connections": "300",
	"max_wal_size":    "512MB",
	"autovacuum":      "off", // it would work beside the tests, on tables that live for seconds
}

// openTestDatabase opens the database under test, with the engine's tables: a private one,
// which is new, or the one in DATABASE_URL.
func (t *testCommand) openTestDatabase(ctx context.Context) (*database, error) {
	if os.Getenv(databaseURL) == "" && os.Getenv(sessionURL) == "" {
		server, err := localpg.Start(ctx, localpg.Options{
			Ephemeral: true, Dir: localpg.MemoryDir(), Settings: testSettings,
			Prepared: &localpg.Prepared{Key: orchestration.SchemaDigest(), Fill: fillTables},
		})
		if err != nil {
			return nil, err
		}
		return &database{url: server.URL(), local: server}, nil
	}
	db, err := openDatabase(ctx, false)
	if err != nil {
		return nil, err
	}
	if db.direct != "" { // the engine of the tests has one address, and needs backends of its own
		db.url, db.direct = db.direct, ""
	}
	if !t.force {
		if err := requireTestName(db.url); err != nil {
			return nil, err
		}
	}
	conn, err := db.connect(ctx, true)
	if err != nil {
		return nil, err
	}
	return db, errors.Wrap(conn.Close(ctx), "closing a connection")
}

func fillTables(ctx context.Context, address string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return errors.WithStack(err)
	}
	return errors.CombineErrors(orchestration.Migrate(ctx, conn), conn.Close(ctx))
}

// requireTestName refuses a database that may not be for tests: the suite changes and
// deletes rows of it.
func requireTestName(address string) error {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return addressError(databaseURL, address, err)
	}
	if name := config.ConnConfig.Database; !strings.Contains(name, "_test") {
		return errors.WithHintf(errors.Newf("DATABASE_URL names the database %s, which may not be for tests: they change and delete its rows", name),
			"Name one with _test in its name, such as %s_test; unset DATABASE_URL for a private one; or give --force.", name)
	}
	return nil
}

// under returns the address of another database of the same server.
func (d *database) under(name string) (string, error) {
	if !strings.Contains(d.url, "://") { // key=value: the last dbname counts
		return d.url + " dbname=" + name, nil
	}
	u, err := url.Parse(d.url)
	if err != nil {
		return "", addressError(databaseURL, d.url, err)
	}
	if query := u.Query(); query.Has("dbname") || query.Has("database") { // they would win
		query.Del("dbname")
		query.Del("database")
		u.RawQuery = queryForLibpq(query)
	}
	u.Path = "/" + name
	return u.String(), nil
}

// scratchName is the database that the check has on a private server: what files do while
// they are loaded is then new to the suite.
const scratchName = "tasker_check"

// scratch makes a database for the check. On a server that is not private, it is the
// database under test.
func (d *database) scratch(ctx context.Context) (string, error) {
	if d.local == nil {
		return d.url, nil
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "create database "+scratchName)
	if err = errors.CombineErrors(errors.Wrap(err, "making a database for the check"), conn.Close(ctx)); err != nil {
		return "", err
	}
	return d.under(scratchName)
}

// copies makes a database for each part, as a copy of this one. The returned function
// removes them; it is never nil. The names on a private server are shorter.
func (d *database) copies(ctx context.Context, parts []*testPart) (remove func() error, err error) {
	none := func() error { return nil }
	conn, err := d.dial(ctx)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.CombineErrors(err, conn.Close(context.WithoutCancel(ctx))) }()
	base := conn.Config().Database
	var made []string
	remove = func() error {
		if d.local != nil {
			return nil // the server goes with them
		}
		return d.drop(context.WithoutCancel(ctx), made)
	}
	for i, p := range parts {
		name := fmt.Sprintf("%s_test_%d", base, i+1)
		if d.local == nil {
			name = fmt.Sprintf("%s_part_%d", base, i+1)
			if len(name) > longestName {
				return remove, errors.WithHintf(errors.Newf("the name %s of the database for a part of the suite is too long", name),
					"Give the database of DATABASE_URL a name of at most %d bytes.", longestName-len(name)+len(base))
			}
			if _, err := conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()); err != nil {
				return remove, copyError(err, name)
			}
		}
		if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+" template "+pgx.Identifier{base}.Sanitize()); err != nil {
			return remove, copyError(err, name)
		}
		made = append(made, name)
		if p.database, err = d.under(name); err != nil {
			return remove, err
		}
	}
	return remove, nil
}

// longestName is how many bytes of a name PostgreSQL keeps.
const longestName = 63

func copyError(err error, name string) error {
	return errors.WithHint(errors.Wrapf(err, "making the database %s for a part of the suite", name),
		"The user needs the right CREATEDB, and nobody else may be connected to the database of DATABASE_URL. Or unset it for a private server.")
}

func (d *database) drop(ctx context.Context, names []string) error {
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, dropErr := conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
		err = errors.CombineErrors(err, errors.Wrapf(dropErr, "removing the database %s", name))
	}
	return errors.CombineErrors(err, conn.Close(ctx))
}

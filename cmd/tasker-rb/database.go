package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// database is the database that holds the tasks: the one in DATABASE_URL, or the
// private one.
type database struct {
	url    string
	direct string          // TASKER_SESSION_URL: the way around a pooler, or ""
	local  *localpg.Server // nil with DATABASE_URL
}

func openDatabase(ctx context.Context, ephemeral bool) (*database, error) {
	address, direct := forGo(os.Getenv(databaseURL)), forGo(os.Getenv(sessionURL))
	switch {
	case address != "":
		return &database{url: address, direct: direct}, nil
	case direct != "":
		return nil, errors.WithHint(errors.Newf("%s is set, and %s is not", sessionURL, databaseURL),
			"Set both, or unset "+sessionURL+" to use the private database.")
	}
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: ephemeral})
	if err != nil {
		return nil, err
	}
	if server.Made() && !ephemeral {
		project, _ := localpg.Project() // Start has found it
		fmt.Fprintf(os.Stderr, "made a private database for %s, in %s\n", project, server.Dir())
	}
	return &database{url: server.URL(), local: server}, nil
}

// checkScratch refuses --scratch where a database is given. A person who asks for one that is
// deleted must not write into that one.
func checkScratch(scratch bool) error {
	if !scratch || os.Getenv(databaseURL) == "" {
		return nil
	}
	unset := "env -u " + databaseURL
	if os.Getenv(sessionURL) != "" {
		unset += " -u " + sessionURL
	}
	return errors.WithHintf(errors.Newf("--scratch is for a database that is deleted afterwards, and %s names one that is kept", databaseURL),
		"Write `%s` before the command, or leave --scratch out.", unset)
}

func (d *database) close() error {
	if d.local == nil {
		return nil
	}
	return d.local.Close()
}

// place names the database for a message, without the secrets of its address.
func (d *database) place() string {
	if d.local != nil {
		return "the private database"
	}
	return "the database at " + redact(d.url)
}

func (d *database) dial(ctx context.Context) (*pgx.Conn, error) { return dial(ctx, databaseURL, d.url) }

// connect opens one connection. With migrate, and always in the private database,
// it brings the tables up to date. Otherwise it fails if they are not current.
func (d *database) connect(ctx context.Context, migrate bool) (conn *pgx.Conn, err error) {
	if migrate = migrate || d.local != nil; migrate {
		conn, err = d.dialSession(ctx)
	} else {
		conn, err = d.dial(ctx)
	}
	if err != nil {
		return nil, err
	}
	if migrate {
		err = orchestration.Migrate(ctx, conn)
	}
	if err == nil {
		err = checkTables(ctx, conn)
	}
	if err != nil {
		return nil, errors.CombineErrors(errors.Wrap(err, d.place()), conn.Close(ctx))
	}
	return conn, nil
}

func checkTables(ctx context.Context, conn *pgx.Conn) error {
	if err := orchestration.CheckSchema(ctx, conn); err != nil {
		return err
	}
	return orchestration.CheckWritable(ctx, conn)
}

// pool checks or migrates the tables like connect, and opens a pool.
func (d *database) pool(ctx context.Context, size int32, migrate bool) (*pgxpool.Pool, error) {
	conn, err := d.connect(ctx, migrate)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(ctx); err != nil {
		return nil, errors.Wrap(err, "closing a connection")
	}
	config, err := parseAddress(databaseURL, d.url)
	if err != nil {
		return nil, err
	}
	orchestration.ConfigurePool(config)
	if !strings.Contains(d.url, "pool_max_conns") {
		config.MaxConns = size
	}
	return pgxpool.NewWithConfig(ctx, config)
}

package main

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

// database is where the tasks are: the one of DATABASE_URL, or the private one.
type database struct {
	url   string
	local *localpg.Server // nil with DATABASE_URL
}

func openDatabase(ctx context.Context, ephemeral bool) (*database, error) {
	if address := os.Getenv("DATABASE_URL"); address != "" {
		return &database{url: address}, nil
	}
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: ephemeral})
	if err != nil {
		return nil, err
	}
	return &database{url: server.URL(), local: server}, nil
}

func (d *database) close() error {
	if d.local == nil {
		return nil
	}
	return d.local.Close()
}

// place says which database it is, without what is secret of its address.
func (d *database) place() string {
	if d.local != nil {
		return "the private database"
	}
	return "the database at " + redact(d.url)
}

// connect opens one connection and, if asked to or if the database is the
// private one, brings the tables up to date. Otherwise they must be.
func (d *database) connect(ctx context.Context, migrate bool) (*pgx.Conn, error) {
	conn, err := dial(ctx, d.url)
	if err != nil {
		return nil, err
	}
	if migrate || d.local != nil {
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

// pool prepares the tables as connect does, and opens a pool.
func (d *database) pool(ctx context.Context, size int32, migrate bool) (*pgxpool.Pool, error) {
	conn, err := d.connect(ctx, migrate)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(ctx); err != nil {
		return nil, errors.Wrap(err, "closing a connection")
	}
	config, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return nil, explainAddress(d.url, err)
	}
	limitConnecting(config.ConnConfig)
	if !strings.Contains(d.url, "pool_max_conns") {
		config.MaxConns = size
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// lazyPool is a database that is opened when it is first needed: a command
// whose handlers do not load leaves nothing behind.
type lazyPool struct {
	ephemeral, migrate bool
	size               int32
	sql                *rubysteps.SQL // what handlers have of it

	mu    sync.Mutex
	db    *database
	ready *pgxpool.Pool
	lost  bool // the server does not answer, not even to a good-bye
}

func (l *lazyPool) open(ctx context.Context) (*pgxpool.Pool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready != nil {
		return l.ready, nil
	}
	if l.db == nil {
		db, err := openDatabase(ctx, l.ephemeral)
		if err != nil {
			return nil, err
		}
		l.db = db
	}
	pool, err := l.db.pool(ctx, l.size, l.migrate)
	l.ready = pool
	return pool, err
}

// place is that of the database, once it is open.
func (l *lazyPool) place() string { return l.db.place() }

// gone reports whether what is in the database is gone with the command.
func (l *lazyPool) gone() bool { return l.ephemeral && l.db.local != nil }

func (l *lazyPool) close() error {
	if l.sql != nil {
		l.sql.Close(context.Background())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ready != nil && l.lost:
		go l.ready.Close()
	case l.ready != nil:
		l.ready.Close()
	}
	if l.db == nil {
		return nil
	}
	return l.db.close()
}

package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// connect opens one connection and, if asked to or if the database is the
// private one, brings the tables up to date. Otherwise they must be.
func (d *database) connect(ctx context.Context, migrate bool) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, explainConnect(d.url, err)
	}
	if migrate || d.local != nil {
		err = orchestration.Migrate(ctx, conn)
	} else if err = orchestration.CheckSchema(ctx, conn); err == nil {
		err = orchestration.CheckWritable(ctx, conn)
	}
	if err != nil {
		return nil, errors.CombineErrors(err, conn.Close(ctx))
	}
	return conn, nil
}

// pool prepares the tables as connect does, and opens a pool.
func (d *database) pool(ctx context.Context, size int32, migrate bool) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return nil, explainConnect(d.url, err)
	}
	conn, err := d.connect(ctx, migrate)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(ctx); err != nil {
		return nil, errors.Wrap(err, "closing a connection")
	}
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

// where is the address to show, once it is open.
func (l *lazyPool) where() string {
	if l.db.local != nil {
		return "the private database"
	}
	return redact(l.db.url)
}

func (l *lazyPool) close() error {
	if l.sql != nil {
		l.sql.Close(context.Background())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready != nil {
		l.ready.Close()
	}
	if l.db == nil {
		return nil
	}
	return l.db.close()
}

// explainConnect says which server it was and what to look at, and never the
// password.
func explainConnect(address string, err error) error {
	where := redact(address)
	var pg *pgconn.PgError
	var dns *net.DNSError
	switch {
	case errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000"):
		return errors.WithHint(errors.Newf("the database at %s refused the login: %s", where, pg.Message),
			"Check the user and the password in DATABASE_URL, and the server's pg_hba.conf.")
	case errors.As(err, &pg) && pg.Code == "3D000":
		return errors.WithHint(errors.Newf("the database at %s: %s", where, pg.Message), "Create it with createdb, or name another one in DATABASE_URL.")
	case errors.As(err, &pg):
		return errors.WithHint(errors.Newf("the database at %s: %s (SQLSTATE %s)", where, pg.Message, pg.Code),
			"The server's log may say more.")
	case errors.As(err, &dns):
		return errors.WithHint(errors.Newf("the host of the database at %s is not known", where), "Check the host name in DATABASE_URL.")
	}
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.WithHint(errors.New("DATABASE_URL is not a PostgreSQL address"), "It looks like postgres://user:password@host:5432/database")
	}
	return errors.WithHint(errors.Wrapf(lastCause(err), "the database at %s cannot be reached", where),
		"Start that server, or unset DATABASE_URL to use the private one.")
}

func lastCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return errors.UnwrapAll(err)
}

func redact(address string) string {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		return u.Redacted()
	}
	var kept []string
	for _, word := range strings.Fields(address) {
		if !strings.HasPrefix(word, "password=") {
			kept = append(kept, word)
		}
	}
	return strings.Join(kept, " ")
}

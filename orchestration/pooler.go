package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// A pooler such as pgbouncer passes the statements of many clients on to few backends of
// the server. In its session mode a client keeps its backend while it is connected. In
// its transaction mode the client may get another backend for each transaction: then
// locks, settings and prepared statements of a session are lost, or are someone else's.

const backendSQL = "select pg_catalog.pg_backend_pid()"

// ThroughPooler reports whether a connection goes through a pooler.
func ThroughPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	backend, err := backendOf(ctx, conn)
	return err == nil && backend != conn.PgConn().PID(), err
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func backendOf(ctx context.Context, q querier) (backend uint32, err error) {
	err = q.QueryRow(ctx, backendSQL, pgx.QueryExecModeSimpleProtocol).Scan(&backend)
	return backend, errors.Wrap(err, "asking for the backend's number")
}

// SharesBackends reports whether two connections with the same address can get the same
// backend, one after the other. They can through a pooler in transaction mode. Nothing
// remains on the backends.
func SharesBackends(ctx context.Context, one, other *pgx.Conn) (bool, error) {
	backend, err := backendOf(ctx, one)
	if err != nil {
		return false, err
	}
	shared := false
	err = pgx.BeginFunc(ctx, other, func(tx pgx.Tx) error {
		// While this transaction is open, its backend cannot serve the first connection.
		taken, err := backendOf(ctx, tx)
		if err != nil || taken == backend {
			shared = taken == backend
			return err
		}
		now, err := backendOf(ctx, one)
		shared = now != backend
		return err
	})
	return shared, err
}

// sharesBackends fails for a connection of the pool through a pooler in transaction mode.
// It comes before the session has left a lock and settings on a backend of others.
func (o *sessionOpener) sharesBackends(ctx context.Context, conn *pgx.Conn) error {
	if o.direct != nil {
		return nil
	}
	if through, err := ThroughPooler(ctx, conn); !through {
		return err
	}
	other, err := o.own.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer other.Release()
	shared, err := SharesBackends(ctx, conn, other.Conn())
	if shared {
		return errors.WithHint(errors.Wrap(ErrNoSession, "its statements run in different backends"), sessionHint)
	}
	return err
}

// way is how a pool's connections reach the server: through a pooler or not.
type way struct {
	lock   chan struct{} // holds a token while no goroutine uses the fields below
	known  bool
	pooled bool
}

func newWay() *way {
	w := &way{lock: make(chan struct{}, 1)}
	w.lock <- struct{}{}
	return w
}

// throughPooler looks with a connection of its own, once. It waits no longer than a
// connection may take to open: everyone who wants one waits for it.
func (w *way) throughPooler(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	select {
	case <-w.lock:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { w.lock <- struct{}{} }()
	if w.known {
		return w.pooled, nil
	}
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return false, err
	}
	defer discard(conn)
	w.pooled, err = ThroughPooler(ctx, conn)
	w.known = err == nil
	return w.pooled, err
}

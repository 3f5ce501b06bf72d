package sqlsession

import (
	"container/list"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The states of a connection, as PostgreSQL reports them, and one of our own.
const (
	idle          = 'I'
	inTransaction = 'T'
	inError       = 'E'

	connectionGone = 'X' // ours
)

// connection is one of the pool's while a session has it.
type connection struct {
	pooled *pgxpool.Conn
	*prepared
	// spoiled says that a statement may have left something on it, such as a lock
	// or a temporary table. It is closed instead of given back.
	spoiled bool
	// stale says that its prepared statements may be out of date, or that a
	// cancel may still reach it. It is closed too; nothing is lost with it.
	stale bool
	// listening says that it may receive notifications.
	listening bool
	// untaken is a notification that came just after its waiter had left.
	untaken *pgconn.Notification
}

// customKey is the key of the prepared statements in a pgx connection's custom data.
const customKey = "tasker-rb/prepared"

// attach makes a connection of the pool the session's.
func attach(pooled *pgxpool.Conn) *connection {
	custom := pooled.Conn().PgConn().CustomData()
	p, _ := custom[customKey].(*prepared)
	if p == nil {
		p = &prepared{byText: map[string]*list.Element{}, recent: list.New(), seen: map[string]struct{}{}, schema: schemaVersion.Load(),
			may: preparing(pooled.Conn().Config())}
		custom[customKey] = p
	}
	return &connection{pooled: pooled, prepared: p}
}

func (c *connection) pgx() *pgx.Conn     { return c.pooled.Conn() }
func (c *connection) pg() *pgconn.PgConn { return c.pgx().PgConn() }
func (c *connection) status() byte       { return c.pg().TxStatus() }

// release rolls back an open transaction and returns the connection to the pool.
func (c *connection) release(ctx context.Context) {
	pg := c.pg()
	if !c.spoiled && !pg.IsClosed() && c.status() != idle {
		rollingBack, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
		if _, err := c.pgx().Exec(rollingBack, "rollback"); err != nil {
			c.spoiled = true
		}
		cancel()
	}
	if c.spoiled || c.stale || c.listening {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = c.pgx().Close(closing) // the server rolls back
		cancel()
	}
	c.pooled.Release()
}

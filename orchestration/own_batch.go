package orchestration

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ownBatches sends the engine's own statements. A database or a role may have settings
// that are meant for the statements of an application: another isolation level, read
// only, a limit of time. Then each batch gets a transaction in which these do not apply.
// Without such settings that costs nothing.
type ownBatches struct {
	pool   *pgxpool.Pool
	guards atomic.Bool
}

// beginOwnSQL begins a transaction for the engine's own statements.
const (
	beginOwnSQL  = "begin isolation level read committed read write"
	noLockSQL    = "set local lock_timeout = 0"
	noTimeoutSQL = "set local statement_timeout = 0"
)

// needsGuardSQL reports whether a connection of the pool has settings that the engine's
// statements must not have.
const needsGuardSQL = `
	select current_setting('default_transaction_isolation') <> 'read committed'
		or current_setting('default_transaction_read_only') <> 'off'
		or current_setting('lock_timeout') <> '0' or current_setting('statement_timeout') <> '0'`

// look finds out whether guards are needed.
func (o *ownBatches) look(ctx context.Context) error {
	var needed bool
	err := o.pool.QueryRow(ctx, needsGuardSQL).Scan(&needed)
	if err == nil {
		o.guards.Store(needed)
	}
	return err
}

// plannedOnceSQL lets PostgreSQL plan a statement once for each connection, until the
// commit. Because it cannot know the length of an array, it would plan most of the
// engine's statements anew each time, which takes longer than to run them. And such a plan
// must not depend on what the tables hold when it is made: an empty table is read as a
// whole. With old statistics it would also compile the statements.
const plannedOnceSQL = `select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)`

// sendOften is send for statements that come again and again.
func (o *ownBatches) sendOften(ctx context.Context, batch *pgx.Batch) error {
	return o.send(ctx, often(batch))
}

// often returns the batch with its statements planned once.
func often(batch *pgx.Batch) *pgx.Batch {
	var planned pgx.Batch
	planned.Queue(plannedOnceSQL)
	planned.QueuedQueries = append(planned.QueuedQueries, batch.QueuedQueries...)
	return &planned
}

// send sends the batch in one round trip and one commit.
func (o *ownBatches) send(ctx context.Context, batch *pgx.Batch) error {
	if !o.guards.Load() {
		return o.pool.SendBatch(ctx, batch).Close()
	}
	conn, err := o.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return o.sendOn(ctx, conn, batch)
}

// sendOn is send on one connection.
func (o *ownBatches) sendOn(ctx context.Context, conn *pgxpool.Conn, batch *pgx.Batch) error {
	if !o.guards.Load() {
		return conn.SendBatch(ctx, batch).Close()
	}
	var guarded pgx.Batch
	for _, sql := range []string{beginOwnSQL, noTimeoutSQL, noLockSQL} { // the time may be short, too
		guarded.Queue(sql)
	}
	guarded.QueuedQueries = append(guarded.QueuedQueries, batch.QueuedQueries...)
	guarded.Queue("commit")
	err := conn.SendBatch(ctx, &guarded).Close()
	if err != nil && !conn.Conn().IsClosed() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = conn.Exec(ctx, "rollback") // if this fails, Release closes the connection
	}
	return err
}

// ownTx is a transaction of the engine's own. A statement in it waits for a lock no
// longer than lockWait, because whoever holds the lock may be dead.
var ownTx = pgx.TxOptions{BeginQuery: beginOwnSQL + "; " + noTimeoutSQL + "; set local lock_timeout = '" + lockWait.String() + "'"}

const lockWait = 2 * time.Second

// short is send for statements that come again anyway.
func (o *ownBatches) short(ctx context.Context, batch *pgx.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, shortTimeout)
	defer cancel()
	return o.send(ctx, batch)
}

// shortTimeout is how long a statement may take that comes again anyway.
const shortTimeout = 5 * time.Second

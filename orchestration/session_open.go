package orchestration

import (
	"context"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// sessionOpener opens the connection of an engine's session, and registers the engine
// in tasker.workers.
type sessionOpener struct {
	own         *ownBatches
	connections *poolConnections // of the pool; nil if ConfigurePool has not prepared it
	direct      *pgx.ConnConfig  // instead of a connection of the pool; may be nil
	clock       *databaseClock
	version     string // of the program
}

// registerSQL locks the engine's number and writes its row. The rows of the engine's
// former numbers are deleted: they are not alive any more, even if the server does not
// know it yet. Their process has not crashed, whatever another engine has noted. Its
// parameters: $1 number, $2 host, $3 pid, $4 version, $5 application_name, $6 former numbers.
const registerSQL = `
	with locked as materialized (select pg_advisory_lock($1::bigint)),
	gone as (delete from tasker.workers where number = any($6)),
	survived as (delete from tasker.crashes where number = any($6))
	insert into tasker.workers (number, host, pid, version, application_name, backend_pid, backend_start, started_at, heartbeat_at)
	select $1, $2, $3, $4, $5, a.pid, a.backend_start, clock_timestamp(), clock_timestamp()
	from locked, pg_stat_get_activity(pg_backend_pid()) a`

// settingsSQL sets, for the session, the settings that its work depends on. A database
// or a role may have others. A server that does not know one leaves it out.
const settingsSQL = `
	select set_config(name, value, false) from (values
		('idle_session_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
		('lock_timeout', '0'), ('statement_timeout', '0'), ('default_transaction_isolation', 'read committed'),
		('default_transaction_read_only', 'off'), ('synchronous_commit', 'off')) wanted (name, value)
	where exists (select from pg_settings s where s.name = wanted.name)`

// open opens a connection under a new number.
func (o *sessionOpener) open(ctx context.Context, former []int64) (_ *pgx.Conn, number int64, err error) {
	conn, err := o.connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			discard(conn)
		}
	}()
	if err := o.sharesBackends(ctx, conn); err != nil {
		return nil, 0, err
	}
	for _, sql := range []string{"set statement_timeout = 0", settingsSQL} { // the limit first: it may be short
		if _, err := conn.Exec(ctx, sql); err != nil {
			return nil, 0, err
		}
	}
	if err := CheckSchema(ctx, conn); err != nil {
		return nil, 0, err
	}
	// Drawn at random: numbers of a sequence come again after a failover to a server that
	// is behind, and a claim must never look like another engine's.
	number = 1 + rand.Int64N(maxNumber)
	host, _ := os.Hostname() // for people only
	if _, err := conn.Exec(ctx, registerSQL, number, storableText(host), os.Getpid(), storableText(o.version), o.applicationName(), former); err != nil {
		return nil, 0, err
	}
	var batch pgx.Batch
	o.clock.queueReading(&batch)
	if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, 0, err
	}
	if _, err := conn.Exec(ctx, "listen "+channelTask+"; listen "+channelWake); err != nil {
		return nil, 0, err
	}
	if err := o.own.look(ctx); err != nil {
		return nil, 0, err
	}
	return conn, number, o.check(ctx, conn)
}

// maxNumber keeps numbers exact in JSON readers that have floats only.
const maxNumber = 1<<53 - 1

func (o *sessionOpener) connect(ctx context.Context) (*pgx.Conn, error) {
	if o.direct != nil {
		return pgx.ConnectConfig(ctx, o.direct)
	}
	pooled, err := o.own.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	conn := pooled.Hijack()
	o.connections.remove(conn) // the session looks after it itself
	return conn, nil
}

// ErrNoSession says that the connection of the engine's session is not one backend of
// the server that the pool uses. So a lock in it would prove nothing.
var ErrNoSession = errors.New("the database gives the engine no session of its own")

const sessionHint = "A pooler in transaction mode is probably in between. Give the engine a direct way to the server: " +
	"TASKER_SESSION_URL for the commands, Config.Session in Go. Everything else can go through the pooler. Or use the pooler's session mode."

// check finds out whether a notification from another connection arrives. It does
// not through a pooler that changes the backend with each transaction, nor when the
// session and the pool are on different servers.
func (o *sessionOpener) check(ctx context.Context, conn *pgx.Conn) error {
	err := o.notifies(ctx, conn)
	if err != nil && ctx.Err() == nil && !sqlsession.Passing(err) {
		return errors.WithHint(errors.CombineErrors(errors.Wrapf(ErrNoSession, "%v", err), err), sessionHint)
	}
	return err
}

// probeTimeout is how long the notification of a new session's probe may take, once its
// commit is done.
const probeTimeout = 3 * time.Second

func (o *sessionOpener) notifies(ctx context.Context, conn *pgx.Conn) error {
	var before, after int
	if err := conn.QueryRow(ctx, backendSQL).Scan(&before); err != nil {
		return err
	}
	var probe pgx.Batch
	probe.Queue(`select pg_notify('` + channelTask + `', '')`)
	if err := o.own.send(ctx, &probe); err != nil { // its commit waits for others that notify
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(waiting)
		switch {
		case err != nil && waiting.Err() != nil && ctx.Err() == nil:
			return errors.New("a notification did not arrive")
		case err != nil: // that proves nothing
			return errors.Wrap(err, "waiting for a notification")
		}
		if n.Channel == channelTask && n.Payload == "" {
			break
		}
	}
	if err := conn.QueryRow(ctx, backendSQL).Scan(&after); err != nil {
		return err
	}
	if before != after {
		return errors.New("its statements run in different backends")
	}
	return nil
}

const leaveSQL = `delete from tasker.workers where number = $1`

// leave deletes the engine's row, and ends the session.
func (o *sessionOpener) leave(conn *pgx.Conn, number int64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// A heartbeat that was under way has closed the connection. If no statement
	// succeeds, the end of the session says the same.
	if conn.IsClosed() {
		var batch pgx.Batch
		batch.Queue(leaveSQL, number)
		_ = o.own.send(ctx, &batch)
	} else {
		_, _ = conn.Exec(ctx, leaveSQL, number)
	}
	discard(conn)
}

// ownName is the application_name of a pool that ConfigurePool has prepared: no other
// process has it.
var ownName = regexp.MustCompile(`tasker-rb:[0-9a-z]{12,}$`)

// applicationName is the name by which the connections of this engine's pool can be
// ended. It is empty if other processes may have the same one.
func (o *sessionOpener) applicationName() string {
	if name := o.own.pool.Config().ConnConfig.RuntimeParams["application_name"]; ownName.MatchString(name) {
		return name
	}
	return ""
}

// programVersion is the version of the program's main module.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

package orchestration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// Both ends notice a peer that is gone. The client looks sooner: what it waits for may be
// a lost answer.
const (
	keepaliveIdle     = 5 * time.Second
	keepaliveInterval = 2 * time.Second
	keepaliveCount    = 3
	unackedTimeout    = 10 * time.Second
	pingTimeout       = 2 * time.Second
	connectTimeout    = 5 * time.Second
)

// ConfigurePool prepares a pool for an engine, before the pool is opened. It gives the
// connections an application_name that no other process has, so that other engines can
// end them when this process is frozen or its host is lost. And it has both ends notice
// a network that is cut: TCP keepalives, TCP_USER_TIMEOUT, and
// client_connection_check_interval on the server.
//
// Through a pooler, the connections of the pool have no prepared statements of their
// own: their mode is [pgx.QueryExecModeExec], unless the configuration gives another
// one. The pool finds that out with a first connection, which it closes.
//
// Handlers get the server's notices, if they ask for them.
//
// An engine works with any pool. Without this one, the row locks of a lost host stay
// until the server's own TCP timeout, two hours by default. ConfigurePool replaces
// DialFunc: set your own afterwards.
func ConfigurePool(config *pgxpool.Config) {
	ConfigureSession(config.ConnConfig)
	sqlsession.ReceiveNotices(&config.ConnConfig.Config)
	if config.PingTimeout == 0 {
		config.PingTimeout = pingTimeout
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout // the pool's own is two minutes
	}
	way, given, before := newWay(), givesExecMode(config.ConnConfig), config.BeforeConnect
	config.BeforeConnect = func(ctx context.Context, conn *pgx.ConnConfig) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		pooled, err := way.throughPooler(ctx, conn)
		if pooled && !given {
			conn.DefaultQueryExecMode = pgx.QueryExecModeExec
		}
		return err
	}
	watchConnections(config, way)
}

// watchConnections has the pool remember its open connections, for the session to close
// those whose backend is gone. A pooler's connections have no backend of their own.
func watchConnections(config *pgxpool.Config, way *way) {
	connections := &poolConnections{open: map[*pgx.Conn]time.Time{}}
	connectionsByName.Store(config.ConnConfig.RuntimeParams["application_name"], connections)
	after, before := config.AfterConnect, config.BeforeClose
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		pooled, err := way.throughPooler(ctx, conn.Config())
		if err == nil && !pooled {
			connections.add(conn)
		}
		if err != nil || after == nil {
			return err
		}
		return after(ctx, conn)
	}
	config.BeforeClose = func(conn *pgx.Conn) {
		connections.remove(conn)
		if before != nil {
			before(conn)
		}
	}
}

// ConfigureSession does for [Config].Session what [ConfigurePool] does for a pool: it
// has both ends notice a network that is cut.
func ConfigureSession(config *pgx.ConnConfig) {
	if config.RuntimeParams == nil {
		config.RuntimeParams = map[string]string{}
	}
	config.RuntimeParams["application_name"] = markedName(config.RuntimeParams["application_name"])
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: keepaliveCount},
		Control: func(network, _ string, c syscall.RawConn) error {
			if network == "unix" {
				return nil
			}
			return c.Control(setUnackedTimeout)
		},
	}
	config.DialFunc = dialer.DialContext
	after := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := noticeLostClient(ctx, conn); err != nil || after == nil {
			return err
		}
		return after(ctx, conn)
	}
}

// maxApplicationName is the longest name that PostgreSQL keeps.
const maxApplicationName = 63

// markedName returns an application_name that no other process has. The server would write
// another character in up to four, and cut the mark off.
func markedName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	mark := "tasker-rb:" + strconv.FormatInt(1<<62+rand.Int64N(1<<62), 36)
	if name == "" {
		return mark
	}
	return name[:min(len(name), maxApplicationName-len(mark)-1)] + " " + mark
}

// noticeSQL has the server look whether its client is there. Each setting is set only
// where the server knows it. Through a pooler nothing is set: there the settings would
// stay with a backend of others. A pooler gives its own number for the backend's, %d.
const noticeSQL = `
	select pg_catalog.set_config(name, value, false) from (values
		('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'),
		('tcp_user_timeout', '10000'), ('client_connection_check_interval', '2000')) wanted (name, value)
	where pg_catalog.pg_backend_pid() = %d and exists (select from pg_catalog.pg_settings s where s.name = wanted.name)`

// A statement on the new connection waits no longer than the connection itself may take:
// nobody else knows the connection yet, and the callers of the pool wait for it.
func noticeLostClient(ctx context.Context, conn *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, fmt.Sprintf(noticeSQL, conn.PID())).ReadAll()
	return err
}

// givesExecMode reports whether a configuration says how statements are to be sent. One
// that names pgx's default in its text cannot be told from one that says nothing.
func givesExecMode(config *pgx.ConnConfig) bool {
	return config.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement ||
		strings.Contains(config.ConnString(), "default_query_exec_mode")
}

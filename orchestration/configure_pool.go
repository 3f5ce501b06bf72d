package orchestration

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sys/unix"
)

// Both ends notice a peer that is gone. The client looks sooner: what it waits for may be
// a lost answer.
const (
	keepaliveIdle     = 5 * time.Second
	keepaliveInterval = 2 * time.Second
	keepaliveCount    = 3
	unackedTimeout    = 10 * time.Second
	clientCheck       = 2 * time.Second
	pingTimeout       = 2 * time.Second
	connectTimeout    = 5 * time.Second
)

// ConfigurePool prepares a pool for an engine, before the pool is opened. It gives the
// connections an application_name that no other process has, so that other engines can
// end them when this process is frozen or its host is lost. And it has both ends notice
// a network that is cut: TCP keepalives, TCP_USER_TIMEOUT, and
// client_connection_check_interval on the server.
//
// An engine works with any pool. Without this one, the row locks of a lost host stay
// until the server's own TCP timeout, two hours by default.
func ConfigurePool(config *pgxpool.Config) {
	configureConn(config.ConnConfig)
	if config.PingTimeout == 0 {
		config.PingTimeout = pingTimeout
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout // the pool's own is two minutes
	}
	connections := &poolConnections{open: map[*pgx.Conn]time.Time{}}
	connectionsByName.Store(config.ConnConfig.RuntimeParams["application_name"], connections)
	after, before := config.AfterConnect, config.BeforeClose
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		direct, err := noticeLostClient(ctx, conn)
		if err != nil {
			return err
		}
		if direct {
			connections.add(conn)
		}
		if after == nil {
			return nil
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

// maxApplicationName is the longest name that PostgreSQL keeps.
const maxApplicationName = 63

func configureConn(config *pgx.ConnConfig) {
	if config.RuntimeParams == nil {
		config.RuntimeParams = map[string]string{}
	}
	mark := "tasker-rb:" + strconv.FormatInt(1<<62+rand.Int64N(1<<62), 36)
	if name := config.RuntimeParams["application_name"]; name != "" {
		mark = name[:min(len(name), maxApplicationName-len(mark)-1)] + " " + mark
	}
	config.RuntimeParams["application_name"] = mark
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: keepaliveCount},
		Control: func(network, _ string, c syscall.RawConn) error {
			if network == "unix" {
				return nil
			}
			return c.Control(func(fd uintptr) {
				// Where a kernel does not know the option, the keepalives remain.
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unackedTimeout.Milliseconds()))
			})
		},
	}
	config.DialFunc = dialer.DialContext
}

// noticeSQL has the server look whether its client is there. Each setting is set only
// where the server knows it.
const noticeSQL = `
	select set_config(name, value, false) from (values
		('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'),
		('tcp_user_timeout', '10000'), ('client_connection_check_interval', '2000')) wanted (name, value)
	where exists (select from pg_settings s where s.name = wanted.name)`

// noticeLostClient sends noticeSQL, except through a pooler: there the settings would
// stay with a backend of others. A pooler gives its own number for the backend's.
//
// A statement on the new connection waits no longer than the connection itself may take:
// nobody else knows the connection yet, and the callers of the pool wait for it.
func noticeLostClient(ctx context.Context, conn *pgx.Conn) (direct bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	through, err := ThroughPooler(ctx, conn)
	if err != nil || through {
		return false, err
	}
	_, err = conn.Exec(ctx, noticeSQL, pgx.QueryExecModeSimpleProtocol)
	return true, err
}

// ThroughPooler reports whether a connection goes through a pooler such as pgbouncer.
func ThroughPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	err := conn.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return pid != conn.PgConn().PID(), err
}

package pgproxy_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

func TestAPoolWorksThroughTheProxy(t *testing.T) {
	t.Parallel()
	b := start(t)
	pool, err := pgxpool.New(t.Context(), b.url)
	require.NoError(t, err)
	defer pool.Close()
	done := make(chan error)
	const clients, each = 8, 50
	for c := range clients {
		go func() {
			for i := range each {
				if _, err := pool.Exec(t.Context(), "insert into things values ($1)", c*each+i); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		require.NoError(t, <-done)
	}
	require.Equal(t, clients*each, b.rows())
	require.Positive(t, b.Accepted())
	// The pool may still be opening one that a client did not wait for.
	b.eventually(func() bool { return len(b.Open()) == b.Accepted() })
}

func TestWhatIsKnownOfAConnection(t *testing.T) {
	t.Parallel()
	b := start(t)
	conn := b.connect("first")
	config := conn.Config()
	want := pgproxy.Connection{
		ApplicationName: "first", User: config.User, Database: config.Database, PID: int(conn.PgConn().PID()),
	}
	require.Equal(t, []pgproxy.Connection{want}, b.Open())
	require.Equal(t, want.PID, b.ask("select pid from pg_stat_activity where application_name = 'first'"))

	require.NoError(t, exec(t.Context(), conn, "set application_name = 'second'"))
	require.NoError(t, exec(t.Context(), conn, "listen news"))
	want.ApplicationName, want.Listened = "second", true
	require.Equal(t, []pgproxy.Connection{want}, b.Open(pgproxy.Listened, pgproxy.Named("second")))
	require.Empty(t, b.Open(pgproxy.Named("first")))
	require.Empty(t, b.Open(pgproxy.Not(pgproxy.Listened)))

	require.NoError(t, exec(t.Context(), conn, "set application_name = ''"))
	require.Len(t, b.Open(pgproxy.Named("")), 1)
	require.NoError(t, conn.Close(t.Context()))
	b.eventually(func() bool { return len(b.Open()) == 0 })
	require.Equal(t, 1, b.Accepted())
}

func TestAStatementIsCancelledThroughTheProxy(t *testing.T) {
	t.Parallel()
	b := start(t)
	config, err := pgx.ParseConfig(b.url)
	require.NoError(t, err)
	config.RuntimeParams["application_name"] = "sleeper"
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: time.Minute}
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer discard(conn)
	ctx, cancel := context.WithCancel(t.Context())
	done := later(func() error { return exec(ctx, conn, "select pg_sleep(3600)") })
	b.eventually(func() bool {
		return b.ask("select count(*) from pg_stat_activity where application_name = 'sleeper' and state = 'active'") == 1
	})
	cancel()
	require.Equal(t, "57014", sqlState(t, <-done))
	require.NoError(t, conn.Ping(t.Context()), "the connection lives on")
}

func sqlState(t *testing.T, err error) string {
	t.Helper()
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	return pg.Code
}

func TestEncryptionIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t)
	_, err := pgx.Connect(t.Context(), strings.Replace(b.url, "disable", "require", 1))
	require.ErrorContains(t, err, "server refused TLS connection")

	host, port := b.Address()
	raw, err := net.Dial("tcp", net.JoinHostPort(host, port))
	require.NoError(t, err)
	defer func() { require.NoError(t, raw.Close()) }()
	for _, request := range []string{"\x00\x00\x00\x08\x04\xd2\x16\x30", "\x00\x00\x00\x08\x04\xd2\x16\x2f"} { // GSS, TLS
		_, err = io.WriteString(raw, request)
		require.NoError(t, err)
		answer := make([]byte, 1)
		_, err = io.ReadFull(raw, answer)
		require.NoError(t, err)
		require.Equal(t, "N", string(answer))
	}
	_, err = io.WriteString(raw, "\x00\x00\x00\x02nonsense")
	require.NoError(t, err)
	_, err = raw.Read(make([]byte, 1))
	require.ErrorContains(t, err, "connection reset")
	b.eventually(func() bool { return len(b.Open()) == 0 })
}

// What the server says last arrives, also if the client sends something meanwhile.
func TestTheServersLastWordArrives(t *testing.T) {
	t.Parallel()
	b := start(t)
	for range 20 {
		conn := b.connect("doomed")
		b.ask("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'doomed'")
		require.Equal(t, "57P01", sqlState(t, exec(t.Context(), conn, "select 1")))
	}
}

func TestNewConnectionsGoToTheTarget(t *testing.T) {
	t.Parallel()
	b := start(t)
	other, err := localpg.Start(t.Context(), pgtest.Ephemeral(nil))
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	old := b.connect("old")
	b.SetTarget(other.URL())
	fresh, err := pgx.Connect(t.Context(), b.URL(other.URL()))
	require.NoError(t, err)
	defer discard(fresh)
	require.NoError(t, exec(t.Context(), fresh, "create table only_there ()"))
	require.Equal(t, "42P01", sqlState(t, exec(t.Context(), old, "table only_there")))

	require.NoError(t, other.Close())
	_, err = pgx.Connect(t.Context(), b.URL(other.URL()))
	require.ErrorContains(t, err, "connection reset", "nobody listens at the target")
	require.NoError(t, old.Ping(t.Context()))
}

// The end of a test ends the proxy, whatever state its connections are in.
func TestTheProxyEndsWithTheTest(t *testing.T) {
	t.Parallel()
	var conns []*pgx.Conn
	t.Run("with connections", func(t *testing.T) {
		b := start(t)
		for _, name := range []string{"idle", "half-open", "stalled"} {
			config, err := pgx.ParseConfig(b.url)
			require.NoError(t, err)
			config.RuntimeParams["application_name"] = name
			conn, err := pgx.ConnectConfig(t.Context(), config)
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		b.HalfOpen(pgproxy.Named("half-open"))
		b.Stall(pgproxy.Named("stalled"))
	})
	for _, conn := range conns {
		require.ErrorContains(t, conn.Ping(t.Context()), "connection reset")
		discard(conn)
	}
}

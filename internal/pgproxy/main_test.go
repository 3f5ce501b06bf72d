package pgproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/leaktest"
	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// things makes the table that the tests fill.
func things(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "create table things (id bigint primary key)")
	return err
}

// bench is a proxy in front of a database, and a direct connection to it.
type bench struct {
	*pgproxy.Proxy
	t      *testing.T
	url    string // of the database through the proxy
	direct *pgx.Conn
}

func start(t *testing.T) *bench {
	t.Helper()
	url := pgtest.URL(t, pgtest.WithTemplate(things))
	direct, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, direct.Close(context.Background())) })
	p := pgproxy.Start(t, url)
	return &bench{Proxy: p, t: t, url: p.URL(url), direct: direct}
}

// connect opens a connection through the proxy.
func (b *bench) connect(name string) *pgx.Conn {
	b.t.Helper()
	conn, err := b.tryConnect(b.t.Context(), name)
	require.NoError(b.t, err)
	return conn
}

func (b *bench) tryConnect(ctx context.Context, name string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(b.url)
	require.NoError(b.t, err)
	config.RuntimeParams["application_name"] = name
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		b.t.Cleanup(func() { discard(conn) })
	}
	return conn, err
}

// discard closes a connection that may be broken. It does not wait for the server.
func discard(conn *pgx.Conn) {
	hangUp(conn)
	_ = conn.Close(context.Background())
	<-conn.PgConn().CleanupDone()
}

// hangUp closes the client's end. A call that waits for an answer fails.
func hangUp(conn *pgx.Conn) { _ = conn.PgConn().Conn().Close() }

// ask returns the one number that a query gives on the direct connection.
func (b *bench) ask(query string, args ...any) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.direct.QueryRow(b.t.Context(), query, args...).Scan(&n))
	return n
}

// sessions counts the server's sessions with an application_name.
func (b *bench) sessions(name string) int {
	b.t.Helper()
	return b.ask("select count(*) from pg_stat_activity where application_name = $1 and datname = current_database()", name)
}

// rows counts the rows of the table.
func (b *bench) rows() int {
	b.t.Helper()
	return b.ask("select count(*) from things")
}

// eventually waits until a condition holds. Only a defect makes it reach its limit.
func (b *bench) eventually(condition func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(time.Millisecond) {
		require.True(b.t, time.Now().Before(deadline))
	}
}

// later runs f in a goroutine, and returns where its error arrives.
func later(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// exec runs a statement and returns its error.
func exec(ctx context.Context, conn *pgx.Conn, statement string) error {
	_, err := conn.Exec(ctx, statement)
	return err
}

// requireSilence makes round trips on the direct connection, in which nothing may
// arrive.
func (b *bench) requireSilence(done <-chan error) {
	b.t.Helper()
	for range 200 {
		b.ask("select 1")
		select {
		case err := <-done:
			require.Fail(b.t, "an answer has arrived", "%v", err)
		default:
		}
	}
}

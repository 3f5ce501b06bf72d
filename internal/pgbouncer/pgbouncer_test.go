package pgbouncer_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/leaktest"
	"github.com/tasker-rb/tasker-rb/internal/pgbouncer"
	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	return conn
}

func ask(t *testing.T, conn *pgx.Conn, query string) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func TestBothModesServe(t *testing.T) {
	t.Parallel()
	for mode, parameters := range map[pgbouncer.Mode]string{
		pgbouncer.Session:     "",
		pgbouncer.Transaction: "&default_query_exec_mode=exec",
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			pooler := pgbouncer.Start(t, url, mode, nil)
			conn := connect(t, pooler.URL(url)+parameters)
			for range 3 {
				require.Equal(t, 1, ask(t, conn, "select 1"))
			}
			require.NoError(t, conn.Close(t.Context()))
		})
	}
}

// In transaction mode two clients share the only session of the server. In session
// mode each has its own.
func TestWhatAClientHasOfTheServer(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	for mode, shared := range map[pgbouncer.Mode]bool{pgbouncer.Session: false, pgbouncer.Transaction: true} {
		size := "2"
		if shared {
			size = "1"
		}
		pooler := pgbouncer.Start(t, url, mode, map[string]string{"default_pool_size": size})
		address := pooler.URL(url) + "&default_query_exec_mode=exec"
		first, second := connect(t, address), connect(t, address)
		const session = "select pg_backend_pid()"
		require.Equal(t, shared, ask(t, first, session) == ask(t, second, session), mode)
		require.NoError(t, first.Close(t.Context()))
		require.NoError(t, second.Close(t.Context()))
	}
}

func TestAPoolerStops(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	proxy := pgproxy.Start(t, url)
	pooler := pgbouncer.Start(t, proxy.URL(url), pgbouncer.Session, nil)
	conn := connect(t, pooler.URL(url))
	require.Equal(t, 1, ask(t, conn, "select 1"))
	require.NotEmpty(t, proxy.Open(), "the pooler goes through the proxy")
	pooler.Stop()
	require.Error(t, conn.Ping(t.Context()))
	require.NoError(t, conn.Close(t.Context()))
}

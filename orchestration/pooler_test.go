package orchestration_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgbouncer"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// poolBehind returns a pool through a pooler, and the address of the server itself.
func poolBehind(t *testing.T, mode pgbouncer.Mode, settings map[string]string) (pool *pgxpool.Pool, direct string) {
	t.Helper()
	direct = pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	config, err := pgxpool.ParseConfig(pgbouncer.Start(t, direct, mode, settings).URL(direct))
	require.NoError(t, err)
	orchestration.ConfigurePool(config)
	pool, err = pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, direct
}

func TestAnEngineNeedsABackendOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode     pgbouncer.Mode
		settings map[string]string
		refused  bool
	}{
		"transaction":          {pgbouncer.Transaction, nil, true},
		"transaction, in turn": {pgbouncer.Transaction, map[string]string{"server_round_robin": "1"}, true},
		"transaction, one":     {pgbouncer.Transaction, map[string]string{"default_pool_size": "1"}, true},
		"session":              {pgbouncer.Session, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, direct := poolBehind(t, c.mode, c.settings)
			e, err := orchestration.New(t.Context(), orchestration.Config{Pool: pool, Handlers: resolver{}})
			if !c.refused {
				require.NoError(t, err)
				require.NoError(t, e.Close())
				return
			}
			require.ErrorIs(t, err, orchestration.ErrNoSession)
			conn, err := pgx.Connect(t.Context(), direct)
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close(context.Background())) }()
			var rows, locks int
			require.NoError(t, conn.QueryRow(t.Context(), `select (select count(*) from tasker.workers), (select count(*) from pg_locks
				where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database()))`).Scan(&rows, &locks))
			require.Zero(t, rows)
			require.Zero(t, locks, "nothing is left on the pooler's backends")
		})
	}
}

// A pooler gives the backend of a dead engine's session to someone else. That one is
// not ended. A backend that still has the session's lock is.
func TestOnlySessionsOfTheDeadAreEnded(t *testing.T) {
	t.Parallel()
	pool := database(t)
	pretend := func(number int64, sql string) *pgx.Conn {
		conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		_, err = conn.Exec(t.Context(), sql, number)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), `
			insert into tasker.workers (number, host, pid, version, application_name, backend_pid, backend_start, started_at, heartbeat_at)
			select $1, 'elsewhere', 1, '', '', pid, backend_start, now() - interval '1 h', now() - interval '1 h'
			from pg_stat_get_activity(pg_backend_pid())`, number)
		require.NoError(t, err)
		return conn
	}
	other, frozen := pretend(1, "select $1::bigint"), pretend(2, "select pg_advisory_lock($1)")
	e := engineOn(t, pool, nil)
	working, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Work(working, orchestration.WorkerConfig{Poll: 10 * time.Millisecond}) }()
	require.Eventually(t, func() bool { return frozen.Ping(t.Context()) != nil }, patience, 10*time.Millisecond)
	var rows int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from tasker.workers where host = 'elsewhere'").Scan(&rows))
	require.Zero(t, rows)
	require.NoError(t, other.Ping(t.Context()))
	stop()
	require.NoError(t, <-ended)
}

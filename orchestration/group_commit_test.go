package orchestration_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// As many requests as are sent alone at a time wait for a lock that is never given back.
// Others get their turn all the same.
func TestRequestsThatWaitForALockKeepNoOtherOut(t *testing.T) {
	t.Parallel()
	const stuck = 8
	config := database(t).Config()
	config.MaxConns = 2 * stuck
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := engineOn(t, pool, nil)
	lock, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), "select pg_advisory_xact_lock(-1)")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting []<-chan error
	for range stuck {
		waiting = append(waiting, b.ExecAlone(ctx, "select pg_advisory_xact_lock(-1)"))
	}
	require.Eventually(t, func() bool {
		var n int
		return pool.QueryRow(t.Context(), `select count(*) from pg_locks
			where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`).Scan(&n) == nil && n == stuck
	}, 20*time.Second, 5*time.Millisecond)
	select {
	case err := <-b.ExecAlone(t.Context(), "select 1"):
		require.NoError(t, err)
	case <-time.After(60 * time.Second):
		require.Fail(t, "the request has had no turn")
	}
	cancel()
	for _, answered := range waiting {
		require.Error(t, <-answered)
	}
}

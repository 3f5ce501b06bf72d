package orchestration_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The connections of a dead engine could not be ended, and its row is gone. The next round
// of maintenance ends them: a frozen process would keep its row locks.
func TestConnectionsOfADeadEngineAreEndedLater(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, mayLogErrors)
	config, err := pgx.ParseConfig(b.pool.Config().ConnString())
	require.NoError(t, err)
	config.RuntimeParams["application_name"] = "of the dead engine"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	b.FailToEndBackends(t.Context(), "of the dead engine")
	b.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond})
	require.Eventually(t, func() bool { return conn.Ping(t.Context()) != nil }, patience, 5*time.Millisecond)
}

// An engine that is closed leaves no row, also when a heartbeat is under way: nobody has
// to find it dead.
func TestAClosedEngineLeavesNoRow(t *testing.T) {
	t.Parallel()
	pool := database(t)
	for range 20 {
		e, err := orchestration.New(t.Context(), orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
		require.NoError(t, err)
		require.NoError(t, e.Close()) // the first heartbeat comes at once
		var rows int
		require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from tasker.workers").Scan(&rows))
		require.Zero(t, rows)
	}
}

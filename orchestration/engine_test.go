package orchestration_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A closed engine leaves no goroutine running.
func TestCloseEndsAllGoroutines(t *testing.T) {
	pool := database(t)
	require.NoError(t, pool.Ping(t.Context()))
	before := goleak.IgnoreCurrent()
	e, err := orchestration.New(t.Context(), orchestration.Config{Pool: pool, Handlers: resolver{}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Work(ctx, orchestration.WorkerConfig{}) }()
	b := &bundle{Engine: e, pool: pool}
	b.submit(t, template(t, diamond, ""), "{}")
	b.waitForTasks(t, orchestration.TaskComplete, 1)
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	pool.Reset()
	others := goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck")
	for deadline := time.Now().Add(patience); goleak.Find(before, others) != nil && time.Now().Before(deadline); {
	}
	goleak.VerifyNone(t, before, others)
}

package bench_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// BenchmarkDiamondSQL runs b.N durable diamonds of four steps, each step with
// one UPDATE of the application's. floor is the same writes without the engine,
// leases is the engine with its own queue, river is the engine with River's.
func BenchmarkDiamondSQL(b *testing.B) {
	b.Run("floor", func(b *testing.B) { floor(b, true) })
	b.Run("leases", func(b *testing.B) { byLeases(b, updating) })
	b.Run("river", func(b *testing.B) { byRiver(b, updating) })
}

// BenchmarkDiamondPlain is BenchmarkDiamondSQL with handlers that run no SQL.
func BenchmarkDiamondPlain(b *testing.B) {
	b.Run("floor", func(b *testing.B) { floor(b, false) })
	b.Run("leases", func(b *testing.B) { byLeases(b, plain) })
	b.Run("river", func(b *testing.B) { byRiver(b, plain) })
}

const (
	accounts  = 1000
	updateSQL = "update accounts set n = n + 1 where id = $1"
)

var stepResults = json.RawMessage(`{"ok": true, "amount": "12.50"}`)

func plain(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
	return stepResults, nil
}

// updating is a step with one UPDATE of the application's.
func updating(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, updateSQL, x.StepID%accounts)
	return stepResults, err
}

// byLeases has one of the engine's own workers take the tasks.
func byLeases(b *testing.B, h orchestration.StepHandlerFunc) {
	pool := newPool(b)
	e, all := newEngine(b, pool, h)
	submitting := time.Now()
	_, err := e.SubmitMany(b.Context(), diamonds(b, b.N))
	require.NoError(b, err)
	submitted := time.Since(submitting)
	defer reportSubmitted(b, submitted)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ResetTimer()
	go func() { ended <- e.Work(ctx, orchestration.WorkerConfig{}) }()
	<-all
	reportComplete(b, pool)
	stop()
	require.NoError(b, <-ended)
}

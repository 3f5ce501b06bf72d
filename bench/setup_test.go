package bench_test

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

const connections = 16

// newPool returns a pool on a fresh database with the engine's tables and the
// application's. The tests' own server does not wait for the disk;
// TASKER_TEST_DATABASE_URL names one that does, and with it the figures are
// those of a real commit.
func newPool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.URL(b, pgtest.WithTemplate(orchestration.Migrate)))
	require.NoError(b, err)
	cfg.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), "create table accounts as select id, 0 as n from generate_series(0, 999) id")
	require.NoError(b, err)
	_, err = pool.Exec(b.Context(), "alter table accounts add primary key (id); alter table accounts set (fillfactor = 50)")
	require.NoError(b, err)
	return pool
}

// newEngine also returns a channel that is closed once b.N tasks have ended.
// Asking the server for that would be work that the floor does not have.
func newEngine(b *testing.B, pool *pgxpool.Pool, h orchestration.StepHandlerFunc) (*orchestration.Engine, <-chan struct{}) {
	b.Helper()
	ended, all := atomic.Int64{}, make(chan struct{})
	e, err := orchestration.New(b.Context(), orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"A": h, "B": h, "C": h, "D": h}},
		Logger:   slog.New(slog.DiscardHandler),
		OnEvent: func(event orchestration.Event) {
			if event.Kind == orchestration.EventTaskEnded && ended.Add(1) == int64(b.N) {
				close(all)
			}
		},
	})
	require.NoError(b, err)
	b.Cleanup(func() { _ = e.Close() })
	return e, all
}

const diamond = `
name: diamond
namespace_name: bench
version: 1.0.0
step_templates:
  - {name: a, handler_class: A, backoff: {curve: none}}
  - {name: b, handler_class: B, backoff: {curve: none}, depends_on_steps: [a]}
  - {name: c, handler_class: C, backoff: {curve: none}, depends_on_steps: [a]}
  - {name: d, handler_class: D, backoff: {curve: none}, depends_on_steps: [b, c]}
`

// diamonds are n submissions of the diamond.
func diamonds(b *testing.B, n int) []orchestration.Submission {
	b.Helper()
	template, err := templates.Parse([]byte(diamond), "diamond.yaml")
	require.NoError(b, err)
	return slices.Repeat([]orchestration.Submission{{Template: template}}, n)
}

// reportComplete stops the clock and checks that every task is complete.
func reportComplete(b *testing.B, pool *pgxpool.Pool) {
	b.Helper()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	var n int
	require.NoError(b, pool.QueryRow(b.Context(), "select count(*) from tasker.tasks where state = 'complete'").Scan(&n))
	require.Equal(b, b.N, n)
}

// reportSubmitted reports the rate of submission, which happens before the
// clock runs.
func reportSubmitted(b *testing.B, took time.Duration) {
	b.ReportMetric(float64(b.N)/took.Seconds(), "submitted/s")
}

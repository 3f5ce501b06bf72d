package orchestration_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// A handler returns during an outage that is longer than stopTimeout. Its result is
// kept and recorded later.
func TestResultsOutliveADatabaseOutage(t *testing.T) {
	t.Parallel()
	pool, postmaster := privateDatabase(t, nil)
	var runs atomic.Int32
	away := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		if err := syscall.Kill(postmaster, syscall.SIGINT); err != nil {
			return nil, err
		}
		for pid := postmaster; pid == postmaster; { // until nobody answers, or the next server
			var err error
			if pid, err = postmasterOf(ctx, pool); err != nil {
				break
			}
		}
		return json.RawMessage(`"done"`), nil
	}
	b := engineOn(t, pool, funcs{"A": away}, mayLogErrors)
	b.SetStopTimeout(time.Nanosecond)
	d := b.run(t, template(t, "a:\nb: a", ""))
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.EqualValues(t, 1, runs.Load())
	require.Len(t, step(t, d, "a").History, 1)
}

// Run's context ends with ErrDatabaseGone while a handler runs. Run then ends with the
// handler, despite a long stopTimeout, whether the server is down or hangs.
func TestErrDatabaseGoneEndsRecording(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]bool{"down": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := localpg.Start(t.Context(), pgtest.Ephemeral(nil))
			require.NoError(t, err)
			stop := sync.OnceFunc(func() { _ = server.Close() }) // an error about its open sessions does not matter
			t.Cleanup(stop)
			pool, err := pgxpool.New(t.Context(), server.URL())
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			conn, err := pool.Acquire(t.Context())
			require.NoError(t, err)
			require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()))
			conn.Release()
			ctx, giveUp := context.WithCancelCause(t.Context())
			away := func() error { stop(); return nil }
			b := engineOn(t, pool, funcs{"A": func(attempt context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
				if err := away(); err != nil {
					return nil, err
				}
				giveUp(orchestration.ErrDatabaseGone)
				<-attempt.Done()
				return nil, attempt.Err()
			}}, mayLogErrors)
			b.SetStopTimeout(time.Hour)
			if hangs {
				away = func() error { return hang(t, pool) }
			}
			id := b.submit(t, template(t, "a:", ""), "{}")
			_, err = b.Run(ctx, id)
			require.Error(t, err)
			require.ErrorIs(t, context.Cause(ctx), orchestration.ErrDatabaseGone)
		})
	}
}

// hang stops the server's processes until the test ends.
func hang(t *testing.T, pool *pgxpool.Pool) error {
	postmaster, err := postmasterOf(t.Context(), pool)
	if err != nil {
		return err
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		return err
	}
	defer conn.Release()
	stop := func(pid int) error {
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		return syscall.Kill(pid, syscall.SIGSTOP)
	}
	if err := stop(postmaster); err != nil { // first: then no process comes that is not listed
		return err
	}
	rows, err := conn.Query(t.Context(), "select pid from pg_stat_activity")
	if err != nil {
		return err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	for _, pid := range pids {
		if stopped := stop(pid); !errors.Is(stopped, syscall.ESRCH) { // it was about to end
			err = errors.CombineErrors(err, stopped)
		}
	}
	return err
}

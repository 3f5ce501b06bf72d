package orchestration_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

func TestUnstorableResultsFailTheStep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ results, text string }{
		{`{"a":`, "not valid JSON"},
		{`"a\u0000b"`, "NUL"},
	} {
		d := engine(t, funcs{"A": value(c.results)}).run(t, template(t, "a:", ""))
		require.Equal(t, orchestration.StepInError, step(t, d, "a").State)
		require.Equal(t, 1, step(t, d, "a").Attempts)
		require.Contains(t, step(t, d, "a").Last().Err.Message, c.text)
	}
	d := engine(t, funcs{"A": value(`"a\\u0000b"`)}).run(t, template(t, "a:", ""))
	require.Equal(t, orchestration.TaskComplete, d.State)
}

func TestMissingHandlerClassFailsTheStep(t *testing.T) {
	t.Parallel()
	d := engine(t, nil).run(t, template(t, "missing:", ""))
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, 1, step(t, d, "missing").Attempts)
	require.Contains(t, step(t, d, "missing").Last().Err.Message, "no class Missing")
}

func TestPanicFailsTheAttempt(t *testing.T) {
	t.Parallel()
	d := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { panic("oops") }}).
		run(t, template(t, "a:", "default_retry_limit: 1"))
	require.Equal(t, "panic", step(t, d, "a").Last().Err.Class)
	require.Contains(t, step(t, d, "a").Last().Err.Backtrace[0], "attempt_test.go")
}

func TestStepTimeout(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			if x.Attempt > 1 {
				return json.RawMessage("1"), nil
			}
			<-ctx.Done()
			if late {
				return json.RawMessage("2"), nil
			}
			return nil, ctx.Err()
		}})
		// On a busy machine the second attempt may be late, too; one of them is not.
		d := b.run(t, template(t, "a:", "timeout_seconds: 0.05\ndefault_retry_limit: 100"))
		a := step(t, d, "a")
		require.Equal(t, "1", string(a.Results()))
		require.Equal(t, "Tasker::StepTimeout", a.History[0].Err.Class)
	}
}

// The handler's SQL commits together with its results. If the attempt fails, it is
// rolled back.
func TestHandlerSQLCommitsWithTheResults(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{
		"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			tx, err := x.Tx(ctx)
			if err != nil {
				return nil, err
			}
			if _, err := tx.Exec(ctx, "insert into ledger values ($1, $2)", x.StepID, x.Attempt); err != nil {
				return nil, err
			}
			if x.Attempt == 1 {
				return nil, errors.New("after the insert")
			}
			return json.RawMessage("1"), nil
		},
		"B": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			tx, err := x.Tx(ctx)
			if err != nil {
				return nil, err
			}
			// A deferred constraint: the commit checks it.
			_, err = tx.Exec(ctx, "insert into unique_later values (1), (1)")
			return json.RawMessage("1"), err
		},
	})
	_, err := b.pool.Exec(t.Context(), `create table ledger (step bigint, attempt int);
		create table unique_later (n int unique deferrable initially deferred)`)
	require.NoError(t, err)
	d := b.run(t, template(t, "a:\nb: a", "default_retry_limit: 2"))
	require.Equal(t, orchestration.StepComplete, step(t, d, "a").State)
	var attempts []int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select array_agg(attempt) from ledger").Scan(&attempts))
	require.Equal(t, []int{2}, attempts)
	require.Equal(t, orchestration.StepInError, step(t, d, "b").State)
	require.Equal(t, "23505", step(t, d, "b").Last().Err.ErrorCode)
	require.Contains(t, step(t, d, "b").Last().Err.Message, "could not be committed")
}

func TestTransactionNone(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		_, err := x.Tx(ctx)
		return nil, err
	}})
	d := b.run(t, template(t, "a:", "transaction: none\ndefault_retry_limit: 1"))
	require.Contains(t, step(t, d, "a").Last().Err.Message, "transaction: none")
}

// A handler that does not use its transaction holds no connection while it runs.
func TestNoConnectionWhileAHandlerRuns(t *testing.T) {
	t.Parallel()
	var b *bundle
	inside := make(chan bool, 1)
	b = engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		// The engine's own questions hold one for a moment.
		none := func() bool { return b.pool.Stat().AcquiredConns() == 0 }
		inside <- assert.Eventually(t, none, 10*time.Second, time.Millisecond)
		return nil, nil
	}})
	b.run(t, template(t, "a:", ""))
	require.True(t, <-inside)
}

// A handler that ends its goroutine, as a test's assertions do, fails its attempt at
// once, even if it left goroutines running. The same holds for a resolver.
func TestGoexitFailsTheAttempt(t *testing.T) {
	t.Parallel()
	pool := database(t)
	b := engineOn(t, pool, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		require.NoError(t, err)
		go func() { _, _ = tx.Exec(ctx, "select pg_sleep(60)") }()
		awaitSleep(ctx, t, pool)
		runtime.Goexit()
		return nil, nil
	}})
	d := b.run(t, template(t, "a:", "default_retry_limit: 2"))
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Len(t, step(t, d, "a").History, 2)
	for _, attempt := range step(t, d, "a").History {
		require.Equal(t, "runtime.Goexit", attempt.Err.Class)
	}
	for class, resolve := range map[string]func() error{
		"runtime.Goexit": func() error { runtime.Goexit(); return nil },
		"panic":          func() error { panic("no handlers today") },
	} {
		b := engineOn(t, pool, nil, func(cfg *orchestration.Config) { cfg.Handlers = resolveFunc(resolve) })
		require.Equal(t, class, step(t, b.run(t, template(t, "a:", "default_retry_limit: 1")), "a").History[0].Err.Class)
	}
}

type resolveFunc func() error

func (r resolveFunc) ResolveHandler(context.Context, string) (orchestration.StepHandler, error) {
	return nil, r()
}

// A handler that does not return within its time and the grace is abandoned. Its late
// results are dropped, and its SQL is rolled back.
func TestStuckHandlerIsAbandoned(t *testing.T) {
	t.Parallel()
	goOn, late := make(chan struct{}), make(chan error, 2)
	var stuck atomic.Bool
	b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if stuck.Load() {
			return nil, &orchestration.StepError{Class: "Enough", Permanent: true}
		}
		tx, err := x.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "create table written (n int)")
		}
		if err != nil {
			return nil, err // on a busy machine its time is over; the next attempt is in time
		}
		stuck.Store(true)
		<-goOn
		_, err = tx.Exec(context.Background(), "select 1")
		late <- err
		_, err = x.Tx(context.Background())
		late <- err
		return json.RawMessage(`"too late"`), nil
	}}, func(cfg *orchestration.Config) {
		cfg.Grace, cfg.Logger = 20*time.Millisecond, slog.New(slog.DiscardHandler)
	})
	d := b.run(t, template(t, "a:", "timeout_seconds: 0.5\ndefault_retry_limit: 100"))
	close(goOn)
	require.ErrorIs(t, <-late, sqlsession.ErrOver)
	require.ErrorIs(t, <-late, sqlsession.ErrOver)
	require.Equal(t, orchestration.TaskInError, d.State)
	history := step(t, d, "a").History
	abandoned := history[len(history)-2].Err
	require.Equal(t, "Tasker::StepTimeout", abandoned.Class)
	require.Contains(t, abandoned.Message, "did not return within 20ms")
	require.Equal(t, "Enough", history[len(history)-1].Err.Class)
	after, err := b.Task(t.Context(), d.TaskID)
	require.NoError(t, err)
	require.Equal(t, d, after)
	b.requireNoTable(t, "written")
}

// A statement that a handler left running is cancelled, whatever its context. The step
// fails, because the statement's effect is unknown.
func TestRunningStatementsEndWithTheStep(t *testing.T) {
	t.Parallel()
	pool := database(t)
	for name, sleep := range map[string]func(pgx.Tx) error{
		"a statement": func(tx pgx.Tx) error { _, err := tx.Exec(context.Background(), "select pg_sleep(60)"); return err },
		"a row":       func(tx pgx.Tx) error { return tx.QueryRow(context.Background(), "select pg_sleep(60)").Scan(nil) },
		"the first one": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), "select pg_sleep($1)", 60)
			return err
		},
	} {
		for _, more := range []string{"", "timeout_seconds: 30"} {
			ended := make(chan error, 1)
			b := engineOn(t, pool, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				tx, err := x.Tx(ctx)
				require.NoError(t, err)
				if name != "the first one" {
					_, err = tx.Exec(ctx, "create table written (n int)")
					require.NoError(t, err)
				}
				go func() { ended <- sleep(tx) }()
				awaitSleep(ctx, t, pool)
				return nil, nil
			}})
			d := b.run(t, template(t, "a:", "default_retry_limit: 1\n"+more))
			require.Error(t, <-ended, name)
			require.Equal(t, orchestration.TaskInError, d.State)
			require.Equal(t, "Tasker::SQLError::QueryCanceled", step(t, d, "a").History[0].Err.Class, name)
			require.Contains(t, step(t, d, "a").History[0].Err.Message, "the statement was cancelled: the handler had returned", name)
			b.requireNoTable(t, "written")
		}
	}
}

// awaitSleep waits until the database runs a statement that sleeps.
func awaitSleep(ctx context.Context, t *testing.T, pool *pgxpool.Pool) {
	for asleep := false; !asleep; {
		require.NoError(t, pool.QueryRow(ctx, `select exists (select from pg_stat_activity
			where datname = current_database() and wait_event = 'PgSleep')`).Scan(&asleep))
	}
}

func (b *bundle) requireNoTable(t *testing.T, table string) {
	t.Helper()
	var there *string
	require.NoError(t, b.pool.QueryRow(t.Context(), "select to_regclass($1)::text", table).Scan(&there))
	require.Nil(t, there)
}

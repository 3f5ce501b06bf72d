package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

const largeSize = 5 << 20

// sizeOf is a handler that returns how long the results of a step are.
func sizeOf(ancestor string) orchestration.StepHandlerFunc {
	return func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		r, err := x.Result(ctx, ancestor)
		return json.RawMessage(fmt.Sprint(len(r))), err
	}
}

// readCounter counts the statements that read large results.
type readCounter struct{ n atomic.Int32 }

func (*readCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (*readCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (*readCounter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (c *readCounter) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	if strings.Contains(d.SQL, "tasker.attempts a") && strings.Contains(d.SQL, "with ordinality") {
		c.n.Add(1)
	}
}
func (*readCounter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// configured opens another pool on the database.
func configured(t *testing.T, pool *pgxpool.Pool, edit func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	edit(cfg)
	other, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(other.Close)
	return other
}

// A large result is read from the database by the handler that asks for it, and by no other.
func TestLargeResultsAreReadByNeed(t *testing.T) {
	t.Parallel()
	var reads readCounter
	pool := configured(t, database(t), func(c *pgxpool.Config) { c.ConnConfig.Tracer = &reads })
	b := engineOn(t, pool, funcs{
		"A": value(string(sized(largeSize))), "Reads": sizeOf("a"),
		"Ignores": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			_, small := x.SmallResult("a")
			some, all := x.SmallResults()
			return json.RawMessage(fmt.Sprint(len(some))), errors.Newf("%v %v", small, all)
		},
		"All": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			all, err := x.Results(ctx)
			names := ""
			for _, r := range all {
				names += fmt.Sprint(r.Step, len(r.JSON), " ")
			}
			return json.RawMessage(`"` + names + `"`), err
		},
	})
	d := b.run(t, template(t, "a:\nignores: a", "default_retry_limit: 1"))
	require.Equal(t, "false false", step(t, d, "ignores").Last().Err.Message)
	require.Zero(t, reads.n.Load())
	d = b.run(t, template(t, "a:\nreads: a", ""))
	require.Equal(t, fmt.Sprint(largeSize), string(step(t, d, "reads").Results()))
	require.EqualValues(t, 1, reads.n.Load())
	d = b.run(t, template(t, "b:\na:\nreads: a b\nall: reads", ""))
	require.Equal(t, fmt.Sprintf(`"b12 a%d reads7 "`, largeSize), string(step(t, d, "all").Results()))
	require.EqualValues(t, 3, reads.n.Load())
	held, returned := b.ResultMemory()
	require.Zero(t, held+returned)
}

// An engine that takes a task over loads no large result, and neither do the results count
// that a program of version 6 has written without their size.
func TestLargeResultsAreReadByAnotherEngine(t *testing.T) {
	t.Parallel()
	pool := database(t)
	later := time.Hour
	first := engineOn(t, pool, funcs{
		"A": value(string(sized(largeSize))), "B": value(string(sized(100_000))),
		"C": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			return nil, &orchestration.StepError{Class: "Later", RetryAfter: &later}
		},
	})
	id := first.submit(t, template(t, "a:\nb:\nc: a b", ""), "{}")
	_, err := first.Handle(t.Context(), id)
	require.NoError(t, err)
	var sizes []int
	require.NoError(t, pool.QueryRow(t.Context(), "select array_agg(results_bytes order by results_bytes) from tasker.attempts where results is not null").Scan(&sizes))
	require.Equal(t, []int{100_000, largeSize}, sizes)
	_, err = pool.Exec(t.Context(), "update tasker.attempts set results_bytes = null")
	require.NoError(t, err)
	require.NoError(t, first.RetryStep(t.Context(), id, "c", ops))
	second := engineOn(t, pool, funcs{"C": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		some, all := x.SmallResults()
		require.Empty(t, some)
		require.False(t, all)
		results, err := x.Results(ctx)
		require.NoError(t, err)
		return json.RawMessage(fmt.Sprintf("[%d, %d]", len(results[0].JSON), len(results[1].JSON))), nil
	}})
	d := second.rerun(t, id)
	require.Equal(t, fmt.Sprintf("[%d, %d]", largeSize, 100_000), string(step(t, d, "c").Results()))
}

func TestLargeResultsGivenByHandReachTheChildren(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"A": failing, "B": sizeOf("a")})
	d := b.run(t, template(t, "a:\nb: a", "default_retry_limit: 1"))
	require.NoError(t, b.ResolveStep(t.Context(), d.TaskID, "a", sized(largeSize), ops))
	d = b.rerun(t, d.TaskID)
	require.Equal(t, fmt.Sprint(largeSize), string(step(t, d, "b").Results()))
}

// Of many small results a task keeps some in memory. A handler gets all.
func TestManySmallResults(t *testing.T) {
	t.Parallel()
	const steps, size = 200, 20_000
	handlers := funcs{"All": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		some, all := x.SmallResults()
		require.False(t, all)
		require.Greater(t, len(some), 50)
		require.Less(t, len(some), 150)
		results, err := x.Results(ctx)
		require.NoError(t, err)
		for i := range steps {
			require.Len(t, results[i].JSON, size)
			one, err := x.Result(ctx, fmt.Sprint("s", i))
			require.NoError(t, err)
			require.Len(t, one, size)
		}
		return json.RawMessage(fmt.Sprint(len(results))), nil
	}}
	graph, parents := "", ""
	for i := range steps {
		handlers[fmt.Sprint("S", i)] = value(string(sized(size)))
		graph += fmt.Sprintf("s%d:\n", i)
		parents += fmt.Sprintf(" s%d", i)
	}
	d := engine(t, handlers).run(t, template(t, graph+"all:"+parents, "default_retry_limit: 1"))
	require.Equal(t, fmt.Sprint(steps), string(step(t, d, "all").Results()), step(t, d, "all").Last().Err)
}

// While all connections of the pool are in the transactions of steps that want to read
// results, they are read all the same.
func TestLargeResultsAreReadWhileThePoolIsExhausted(t *testing.T) {
	t.Parallel()
	pool := configured(t, database(t), func(c *pgxpool.Config) { c.MaxConns = 4 })
	var begun sync.WaitGroup
	begun.Add(3)
	reads := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "select 1")
		}
		begun.Done()
		if err != nil {
			return nil, err
		}
		begun.Wait() // with the session's connection, that is all
		return sizeOf("a")(ctx, x)
	}
	b := engineOn(t, pool, funcs{"A": value(string(sized(largeSize))), "B": reads, "C": reads, "D": reads})
	d := b.run(t, template(t, "a:\nb: a\nc: a\nd: a", "default_retry_limit: 1"))
	for _, name := range []string{"b", "c", "d"} {
		require.Equal(t, fmt.Sprint(largeSize), string(step(t, d, name).Results()), step(t, d, name).Last().Err)
	}
}

// blockReads has reads wait until the test calls the function that it returns.
func blockReads(t *testing.T, pool *pgxpool.Pool) (unblock func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "lock table tasker.attempts in access exclusive mode")
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(context.Background())) }
}

// A read ends with the step's time.
func TestReadsEndWithTheStepsTime(t *testing.T) {
	t.Parallel()
	pool := database(t)
	b := engineOn(t, pool, funcs{"A": value(string(sized(largeSize))), "B": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.Attempt > 1 {
			return json.RawMessage(`"in time"`), nil
		}
		unblock := blockReads(t, pool)
		defer unblock()
		return sizeOf("a")(ctx, x)
	}})
	// On a busy machine other attempts may be late, too; one of them is not.
	d := b.run(t, template(t, "a:\nb: a", "timeout_seconds: 1\ndefault_retry_limit: 100"))
	s := step(t, d, "b")
	require.Equal(t, `"in time"`, string(s.Results()))
	require.Contains(t, s.History[0].Err.Message, "1s")
}

// A read ends when the engine stops.
func TestReadsEndWithTheEngine(t *testing.T) {
	t.Parallel()
	pool := database(t)
	ctx, stop := context.WithCancel(t.Context())
	var failure error
	b := engineOn(t, pool, funcs{"A": value(string(sized(largeSize))), "B": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		unblock := blockReads(t, pool)
		defer unblock()
		time.AfterFunc(10*time.Millisecond, stop)
		_, failure = x.Result(ctx, "a")
		return nil, failure
	}})
	_, err := b.Run(ctx, b.submit(t, template(t, "a:\nb: a", ""), "{}"))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, failure, context.Canceled)
}

// untilCancelled has the first read of large results wait until its context ends.
type untilCancelled struct {
	readCounter
	begun chan struct{}
}

func (u *untilCancelled) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		if strings.Contains(q.SQL, "with ordinality") {
			close(u.begun)
			<-ctx.Done()
		}
	}
	return ctx
}

// A read ends with a cancel of its task.
func TestReadsEndWithACancel(t *testing.T) {
	t.Parallel()
	slow := &untilCancelled{begun: make(chan struct{})}
	pool := configured(t, database(t), func(c *pgxpool.Config) { c.ConnConfig.Tracer = slow })
	b := engineOn(t, pool, funcs{"A": value(string(sized(largeSize))), "B": sizeOf("a")})
	id := b.submit(t, template(t, "a:\nb: a", ""), "{}")
	ended := make(chan orchestration.Outcome, 1)
	go func() {
		out, _ := b.Run(t.Context(), id)
		ended <- out
	}()
	<-slow.begun
	require.NoError(t, b.CancelTask(t.Context(), id, ops))
	require.Equal(t, orchestration.TaskCancelled, (<-ended).State)
	held, returned := b.ResultMemory()
	require.Zero(t, held+returned)
}

// An attempt whose task is gone reads nothing, and hears why.
func TestReadsOfADeletedTask(t *testing.T) {
	t.Parallel()
	var failure error
	pool := database(t)
	b := engineOn(t, pool, funcs{"A": value(string(sized(largeSize))), "B": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		_, err := pool.Exec(ctx, "delete from tasker.tasks where task_id = $1", x.TaskID)
		require.NoError(t, err)
		_, failure = x.Result(ctx, "a")
		return nil, failure
	}}, func(c *orchestration.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	_, err := b.Run(t.Context(), b.submit(t, template(t, "a:\nb: a", ""), "{}"))
	require.ErrorIs(t, err, orchestration.ErrTaskNotFound)
	require.ErrorContains(t, failure, "reading the results of a: the attempt has lost its claim")
	require.Contains(t, errors.FlattenHints(failure), "deleted")
}

package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
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
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

func TestDiamond(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{
		"A": value(`{"n": 1606938044258990275541962092341162602522202993782792835301376, "f": 1.0e+20}`),
		"D": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			require.Len(t, x.Results, 3)
			require.Equal(t, `{"n": 1606938044258990275541962092341162602522202993782792835301376, "f": 1.0e+20}`, string(x.Result("a")))
			require.JSONEq(t, `{"step":"b"}`, string(x.Result("b")))
			require.Nil(t, x.Result("d"))
			return x.Result("a"), nil
		},
	})
	d := b.run(t, template(t, diamond, ""))
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Len(t, d.Steps, 4)
	for _, s := range d.Steps {
		require.Equal(t, orchestration.StepComplete, s.State)
		require.Equal(t, 1, s.Attempts)
		require.Len(t, s.History, 1)
		require.Equal(t, []string{"", "pending", "in_progress"}, froms(s.Transitions, true))
	}
	require.Equal(t, `{"n": 1606938044258990275541962092341162602522202993782792835301376, "f": 1.0e+20}`, string(step(t, d, "d").Results()))
	require.Equal(t, []string{"b", "c"}, step(t, d, "d").Parents)
	require.Equal(t, []string{"", "pending", "in_progress"}, froms(d.Transitions, false))
	require.False(t, d.EndedAt.IsZero())
	require.Equal(t, []orchestration.EventKind{"task_started", "step_started", "step_completed", "step_started", "step_started"}, kinds(b)[:5])
	require.Equal(t, orchestration.EventTaskEnded, kinds(b)[len(kinds(b))-1])
}

func froms(list []orchestration.Transition, step bool) []string {
	var from []string
	if step {
		from = append(from, "") // a step's pending is its row's default
	}
	for _, w := range list {
		from = append(from, w.From)
	}
	return from
}

func kinds(b *bundle) []orchestration.EventKind {
	b.mu.Lock()
	defer b.mu.Unlock()
	var k []orchestration.EventKind
	for _, e := range b.events {
		k = append(k, e.Kind)
	}
	return k
}

// Independent steps run at the same time: each waits for the other.
func TestIndependentStepsRunTogether(t *testing.T) {
	t.Parallel()
	meet := make(chan struct{})
	wait := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		select {
		case meet <- struct{}{}:
		case <-meet:
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}
	d := engine(t, funcs{"B": wait, "C": wait}).run(t, template(t, diamond, "timeout_seconds: 20"))
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Equal(t, "null", string(step(t, d, "b").Results()))
}

func TestNotConcurrentTemplateRunsOneByOne(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	count := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		runtime.Gosched()
		return nil, nil
	}
	tpl := template(t, "a:\nb:\nc:\nd:", "")
	tpl.Concurrent = false
	d := engine(t, funcs{"A": count, "B": count, "C": count, "D": count}).run(t, tpl)
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.EqualValues(t, 1, most.Load())
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		more     string
		fail     func(attempt int) error
		state    orchestration.StepState
		attempts int
	}{
		{"fails once", "", failUntil(2, errors.New("once")), orchestration.StepComplete, 2},
		{"fails always", "", failUntil(99, errors.New("always")), orchestration.StepInError, 3},
		{"limit of one", "default_retry_limit: 1", failUntil(99, errors.New("x")), orchestration.StepInError, 1},
		{"limit of zero still has the first", "default_retry_limit: 0", failUntil(1, nil), orchestration.StepComplete, 1},
		{"not retryable", "default_retryable: false", failUntil(2, errors.New("x")), orchestration.StepInError, 1},
		{"permanent", "", failUntil(2, &orchestration.StepError{Class: "P", Permanent: true}), orchestration.StepInError, 1},
		{"permanent, wrapped", "", failUntil(2, errors.Wrap(&orchestration.StepError{Class: "P", Permanent: true}, "w")), orchestration.StepInError, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				return nil, c.fail(x.Attempt)
			}})
			d := b.run(t, template(t, "a:\nb: a", c.more))
			a := step(t, d, "a")
			require.Equal(t, c.state, a.State)
			require.Equal(t, c.attempts, a.Attempts)
			require.Len(t, a.History, c.attempts)
			if c.state == orchestration.StepInError {
				require.Equal(t, orchestration.TaskInError, d.State)
				require.Equal(t, orchestration.StepPending, step(t, d, "b").State)
				require.NotEmpty(t, a.Last().Err.Class)
			} else {
				require.Equal(t, orchestration.TaskComplete, d.State)
			}
		})
	}
}

func failUntil(attempt int, err error) func(int) error {
	return func(n int) error {
		if n < attempt {
			return err
		}
		return nil
	}
}

func TestRetryAfterWins(t *testing.T) {
	t.Parallel()
	asked := 37 * time.Second
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, &orchestration.StepError{Class: "R", Message: "later", RetryAfter: &asked, Context: json.RawMessage(`{"k":1}`),
			Cause: &orchestration.StepError{Class: "C", Message: "why"}, Backtrace: []string{"x.rb:1"}}
	}})
	id := b.submit(t, template(t, "a:", ""), "{}")
	out, err := b.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, out.State)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	a := step(t, d, "a")
	require.Equal(t, orchestration.StepWaitingForRetry, a.State)
	require.WithinDuration(t, a.Last().EndedAt.Add(asked), a.NextAttempt, 0)
	require.WithinDuration(t, a.NextAttempt, out.Next, 0)
	require.Equal(t, asked, *a.Last().Err.RetryAfter)
	require.JSONEq(t, `{"k":1}`, string(a.Last().Err.Context))
	require.Equal(t, "why", a.Last().Err.Cause.Message)
	require.Equal(t, []string{"x.rb:1"}, a.Last().Err.Backtrace)
}

func TestIndependentBranchesRunToTheirEnd(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, &orchestration.StepError{Class: "P", Permanent: true}
	}})
	d := b.run(t, template(t, "bad:\nafter_bad: bad\ngood:\nbetter: good\nbest: better", ""))
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, map[string]orchestration.StepState{
		"bad": "error", "after_bad": "pending", "good": "complete", "better": "complete", "best": "complete",
	}, states(d))
}

func TestResultsThatCannotBeKept(t *testing.T) {
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

func TestHandlerThatIsNotThere(t *testing.T) {
	t.Parallel()
	d := engine(t, nil).run(t, template(t, "missing:", ""))
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, 1, step(t, d, "missing").Attempts)
	require.Contains(t, step(t, d, "missing").Last().Err.Message, "no class Missing")
}

func TestPanicIsAFailure(t *testing.T) {
	t.Parallel()
	d := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { panic("oops") }}).
		run(t, template(t, "a:", "default_retry_limit: 1"))
	require.Equal(t, "panic", step(t, d, "a").Last().Err.Class)
	require.Contains(t, step(t, d, "a").Last().Err.Backtrace[0], "handle_test.go")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			if x.Attempt == 2 {
				return json.RawMessage("1"), nil
			}
			<-ctx.Done()
			if late {
				return json.RawMessage("2"), nil
			}
			return nil, ctx.Err()
		}})
		d := b.run(t, template(t, "a:", "timeout_seconds: 0.05"))
		a := step(t, d, "a")
		require.Equal(t, "1", string(a.Results()))
		require.Equal(t, "Tasker::StepTimeout", a.History[0].Err.Class)
	}
}

// The SQL of a handler commits with its results, and not without.
func TestHandlersTransaction(t *testing.T) {
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
			// The constraint is checked by the commit.
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

// A handler that asks for no transaction holds no connection while it runs.
func TestNoConnectionWhileAHandlerRuns(t *testing.T) {
	t.Parallel()
	var b *bundle
	inside := make(chan int32, 1)
	b = engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		inside <- b.pool.Stat().AcquiredConns()
		return nil, nil
	}})
	b.run(t, template(t, "a:", ""))
	require.Zero(t, <-inside)
}

// Stopping the engine interrupts handlers; the attempt does not count, and
// another engine goes on.
func TestInterruptedStepIsReleased(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	id := b.submit(t, template(t, "a:\nb: a", "default_retry_limit: 1"), "{}")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	_, err := b.Run(ctx, id)
	require.ErrorIs(t, err, context.Canceled)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.StepPending, step(t, d, "a").State)
	require.Zero(t, step(t, d, "a").Attempts)
	require.Equal(t, orchestration.TaskInProgress, d.State)

	other := engineOn(t, b.pool, nil)
	out, err := other.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
}

// An engine whose session is gone has lost its claims: another one takes over,
// and the late result changes nothing.
func TestLostClaimIsTakenOver(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	slow := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "insert into ledger values ('first')"); err != nil {
			return nil, err
		}
		begun <- struct{}{}
		<-finish
		return json.RawMessage(`"late"`), nil
	}
	first := engine(t, funcs{"A": slow})
	_, err := first.pool.Exec(t.Context(), "create table ledger (who text)")
	require.NoError(t, err)
	id := first.submit(t, template(t, "a:\nb: a", ""), "{}")
	ended := make(chan orchestration.Outcome, 1)
	go func() {
		out, err := first.Run(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- out
	}()
	<-begun
	_, err = first.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 1952543595
		and database = (select oid from pg_database where datname = current_database())`)
	require.NoError(t, err)
	second := engineOn(t, first.pool, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "insert into ledger values ('second')")
		return json.RawMessage(`"second"`), err
	}})
	out, err := second.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
	close(finish)
	require.Equal(t, orchestration.TaskComplete, (<-ended).State)
	d, err := second.Task(t.Context(), id)
	require.NoError(t, err)
	a := step(t, d, "a")
	require.Equal(t, `"second"`, string(a.Results()))
	require.Equal(t, 2, a.Attempts)
	require.Equal(t, "lost", a.History[0].Outcome)
	var who []string
	require.NoError(t, first.pool.QueryRow(t.Context(), "select array_agg(who) from ledger").Scan(&who))
	require.Equal(t, []string{"second"}, who)
}

// Two engines on one task: each step runs once.
func TestTwoEnginesOnOneTask(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	count := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		return nil, nil
	}
	handlers := funcs{"A": count, "B": count, "C": count, "D": count}
	one := engine(t, handlers)
	two := engineOn(t, one.pool, handlers)
	for range 10 {
		runs.Store(0)
		id := one.submit(t, template(t, diamond, ""), "{}")
		ended := make(chan error, 2)
		for _, e := range []*bundle{one, two} {
			go func() {
				out, err := e.Run(t.Context(), id)
				if err == nil && out.State != orchestration.TaskComplete {
					err = errors.Newf("ended %s", out.State)
				}
				ended <- err
			}()
		}
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		require.EqualValues(t, 4, runs.Load())
	}
}

func TestTwoHundredTasksLeaveNothingBehind(t *testing.T) {
	b := engine(t, nil)
	tpl := template(t, diamond, "")
	for range 20 {
		b.run(t, tpl)
	}
	goroutines, connections := runtime.NumGoroutine(), b.pool.Stat().TotalConns()
	for range 200 {
		require.Equal(t, orchestration.TaskComplete, b.run(t, tpl).State)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, b.pool.Stat().TotalConns(), connections)
}

func TestRunAtIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	at := time.Now().Add(time.Hour)
	s, err := b.Submit(t.Context(), orchestration.Submission{Template: template(t, "a:", ""), RunAt: at})
	require.NoError(t, err)
	out, err := b.Handle(t.Context(), s.TaskID)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskPending, out.State)
	require.WithinDuration(t, at, out.Next, time.Millisecond)
}

func TestUnknownTask(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	_, err := b.Run(t.Context(), 404)
	require.ErrorIs(t, err, orchestration.ErrTaskNotFound)
	_, err = b.Task(t.Context(), 404)
	require.ErrorIs(t, err, orchestration.ErrTaskNotFound)
}

// A task of a thousand steps: a fan of 500, a chain of 498 beside it, and a step
// that waits for both. No part of the engine takes a time that grows out of bounds.
func TestThousandSteps(t *testing.T) {
	t.Parallel()
	var graph, last strings.Builder
	graph.WriteString("first:\nchain0: first\n")
	for i := range 500 {
		fmt.Fprintf(&graph, "fan%d: first\n", i)
		fmt.Fprintf(&last, " fan%d", i)
	}
	for i := 1; i < 498; i++ {
		fmt.Fprintf(&graph, "chain%d: chain%d\n", i, i-1)
	}
	tpl := template(t, graph.String()+"last: chain497"+last.String(), "")
	require.Len(t, tpl.Steps, 1000)
	began := time.Now()
	d := engine(t, nil).run(t, tpl)
	t.Logf("%v", time.Since(began).Round(time.Millisecond))
	require.Equal(t, orchestration.TaskComplete, d.State)
	for _, s := range d.Steps {
		require.Equal(t, 1, s.Attempts, s.Name)
	}
}

// Tasks that are asked for at the same time are read together; each caller gets
// its own.
func TestManyTasksAreReadAtOnce(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	made, err := b.SubmitMany(t.Context(), many(40, orchestration.Submission{Template: template(t, diamond, "")}))
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 120 {
		all.Go(func() {
			if i%3 == 2 {
				_, err := b.Handle(t.Context(), int64(1e9+i))
				if !errors.Is(err, orchestration.ErrTaskNotFound) {
					t.Errorf("a task that is not there: %v", err)
				}
				return
			}
			_, err := b.Handle(t.Context(), made[i%40].TaskID) // some twice
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, m := range made {
		out, err := b.Run(t.Context(), m.TaskID)
		require.NoError(t, err)
		require.Equal(t, orchestration.TaskComplete, out.State)
	}
}

// A handler that ends its goroutine, as the assertions of a test do, fails its
// attempt at once, whatever it left running; and so does what finds handlers.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
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
		b := engineOn(t, pool, nil, func(cfg *orchestration.Config) { cfg.Handlers = resolving(resolve) })
		require.Equal(t, class, step(t, b.run(t, template(t, "a:", "default_retry_limit: 1")), "a").History[0].Err.Class)
	}
}

type resolving func() error

func (r resolving) ResolveHandler(context.Context, string) (orchestration.StepHandler, error) {
	return nil, r()
}

// awaitSleep returns once a statement of the database's sleeps.
func awaitSleep(ctx context.Context, t *testing.T, pool *pgxpool.Pool) {
	for asleep := false; !asleep; {
		require.NoError(t, pool.QueryRow(ctx, `select exists (select from pg_stat_activity
			where datname = current_database() and wait_event = 'PgSleep')`).Scan(&asleep))
	}
}

// A handler that does not return when its time and the grace are over is left
// behind. What it comes to later is not heard, and its SQL not taken.
func TestHandlerThatIsLeftBehind(t *testing.T) {
	t.Parallel()
	goOn, late := make(chan struct{}), make(chan error, 2)
	b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, "create table written (n int)")
		require.NoError(t, err)
		<-goOn
		_, err = tx.Exec(context.Background(), "select 1")
		late <- err
		_, err = x.Tx(context.Background())
		late <- err
		return json.RawMessage(`"too late"`), nil
	}}, func(cfg *orchestration.Config) {
		cfg.Grace, cfg.Logger = 20*time.Millisecond, slog.New(slog.DiscardHandler)
	})
	d := b.run(t, template(t, "a:", "timeout_seconds: 0.1\ndefault_retry_limit: 1"))
	close(goOn)
	require.ErrorIs(t, <-late, sqlsession.ErrOver)
	require.ErrorIs(t, <-late, sqlsession.ErrOver)
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, "Tasker::StepTimeout", step(t, d, "a").History[0].Err.Class)
	require.Contains(t, step(t, d, "a").History[0].Err.Message, "did not return within 20ms")
	after, err := b.Task(t.Context(), d.TaskID)
	require.NoError(t, err)
	require.Equal(t, d, after)
	b.requireNotThere(t, "written")
}

// A statement that a handler left running is cancelled, whatever context it was
// given, and the step fails: what it was to do is not known.
func TestStatementsEndWithTheirStep(t *testing.T) {
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
			b.requireNotThere(t, "written")
		}
	}
}

func (b *bundle) requireNotThere(t *testing.T, table string) {
	t.Helper()
	var there *string
	require.NoError(t, b.pool.QueryRow(t.Context(), "select to_regclass($1)::text", table).Scan(&there))
	require.Nil(t, there)
}

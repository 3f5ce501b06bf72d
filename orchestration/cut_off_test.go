package orchestration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// cutOff is an engine whose way to the server goes through a proxy. Its pool is direct.
type cutOff struct {
	*bundle
	proxy *pgproxy.Proxy
}

func behindProxy(t *testing.T, handlers funcs) *cutOff {
	t.Helper()
	direct := database(t)
	proxy := pgproxy.Start(t, direct.Config().ConnString())
	pool := poolThrough(t, proxy, direct)
	b := engineOn(t, pool, handlers, mayLogErrors)
	b.pool = direct
	_, err := direct.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	return &cutOff{bundle: b, proxy: proxy}
}

func poolThrough(t *testing.T, proxy *pgproxy.Proxy, direct *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(proxy.URL(direct.Config().ConnString()))
	require.NoError(t, err)
	config.MaxConns = 16
	orchestration.ConfigurePool(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// requireOnce checks that every task is complete, that no attempt has failed, and that
// the ledger has each step once. It returns how many attempts were lost.
func (c *cutOff) requireOnce(t *testing.T, tasks, steps int) (lost int) {
	t.Helper()
	c.waitForTasks(t, orchestration.TaskComplete, tasks)
	var rows, distinct, failed int
	require.NoError(t, c.pool.QueryRow(t.Context(), `select count(*), count(distinct (task, step)) from ledger`).Scan(&rows, &distinct))
	require.Equal(t, []int{tasks * steps, tasks * steps}, []int{rows, distinct})
	require.NoError(t, c.pool.QueryRow(t.Context(),
		`select count(*) filter (where outcome = 'error'), count(*) filter (where outcome = 'lost') from tasker.attempts`).Scan(&failed, &lost))
	require.Zero(t, failed, "no handler has failed")
	return lost
}

// The server's end of the engine's session is gone, and the engine's end stays open and
// silent, as after a failover. The engine notices, and nothing that it claims meanwhile
// is lost.
func TestSilentSessionIsReplaced(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string][]pgproxy.Match{"the session": {pgproxy.Listened}, "every connection": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const tasks = 40
			var begun atomic.Int32
			c := behindProxy(t, funcs{"A": ledger, "B": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				begun.Add(1)
				return ledger(ctx, x)
			}})
			_, err := c.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, "a:\nb: a", "default_retry_limit: 2")}))
			require.NoError(t, err)
			before := number(t, c.pool)
			c.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond, MaxTasks: 4})
			require.Eventually(t, func() bool { return begun.Load() > 4 }, patience, time.Millisecond)
			c.proxy.HalfOpen(silent...)
			require.Eventually(t, func() bool {
				now := number(t, c.pool)
				return now != 0 && now != before
			}, patience, 5*time.Millisecond, "the engine has another number")
			t.Logf("%d attempts lost", c.requireOnce(t, tasks, 2))
			require.Eventually(t, func() bool { return c.Ready() == nil }, patience, 5*time.Millisecond)
		})
	}
}

// number is the number of the one engine in the database; 0 if there are none or more.
func number(t *testing.T, pool *pgxpool.Pool) (n int64) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "select coalesce(case when count(*) = 1 then min(number) end, 0) from tasker.workers").Scan(&n))
	return n
}

// The answers to many commits are lost. Each step counts as what it is: committed, with
// its after_commit hook run, and no other.
func TestCommitsWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, fate := range []pgproxy.Fate{pgproxy.ThenCut, pgproxy.ThenSilence} {
		for _, with := range []string{"SQL", "no SQL"} {
			t.Run(fmt.Sprint(with, " ", fate), func(t *testing.T) {
				t.Parallel()
				const tasks, lostAnswers = 30, 6
				var mu sync.Mutex
				fates := map[sqlsession.Fate]int{}
				hooked := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
					x.SQL().OnEnd(func(_ []uint64, fate sqlsession.Fate) {
						mu.Lock()
						defer mu.Unlock()
						fates[fate]++
					})
					if _, err := x.SQL().AddHook(ctx, 1); err != nil {
						return nil, err
					}
					if with == "SQL" {
						return ledger(ctx, x)
					}
					return json.RawMessage(`1`), nil
				}
				c := behindProxy(t, funcs{"A": hooked, "B": hooked})
				_, err := c.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, "a:\nb: a", "default_retry_limit: 1")}))
				require.NoError(t, err)
				if with == "SQL" {
					c.proxy.SwallowCommitAnswers(lostAnswers, fate)
				} else { // the statement that records outcomes returns rows
					c.proxy.SwallowAnswers(lostAnswers, func(tag string) bool { return tag == "SELECT 1" }, fate, pgproxy.Not(pgproxy.Listened))
				}
				stop := c.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond, MaxTasks: 4})
				c.waitForTasks(t, orchestration.TaskComplete, tasks)
				require.Equal(t, lostAnswers, c.proxy.Swallowed())
				if with == "SQL" {
					require.Zero(t, c.requireOnce(t, tasks, 2), "every attempt was committed")
				}
				stop()
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, 2*tasks, fates[sqlsession.Committed], "%v", fates)
			})
		}
	}
}

// The server's end of a connection that is being opened is gone, and the client's end is
// silent. Whoever waits for the connection gets an error, and the next one works.
func TestSilentConnectionIsNotAwaitedForEver(t *testing.T) {
	t.Parallel()
	direct := database(t)
	for name, fault := range map[string]func(*pgproxy.Proxy) (end func()){
		"before the server answers": func(p *pgproxy.Proxy) func() {
			p.Stall()
			return func() { p.HalfOpen(); p.Resume() }
		},
		"before it is configured": func(p *pgproxy.Proxy) func() {
			p.SwallowAnswers(1, func(tag string) bool { return tag == "SELECT 1" }, pgproxy.ThenSilence)
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := pgproxy.Start(t, direct.Config().ConnString())
			end := fault(proxy)
			pool := poolThrough(t, proxy, direct)
			done := make(chan error, 1)
			go func() { done <- pool.Ping(context.WithoutCancel(t.Context())) }()
			require.Eventually(t, func() bool { return proxy.Accepted() > 0 }, patience, time.Millisecond)
			end()
			select {
			case err := <-done:
				require.True(t, sqlsession.ConnectionLost(err) || errors.Is(err, context.DeadlineExceeded), "%v", err)
			case <-time.After(patience):
				require.Fail(t, "the pool waits for ever")
			}
			require.NoError(t, pool.Ping(t.Context()))
		})
	}
}

// The network is away for a while, and handlers return meanwhile. Their results are
// recorded soon after it is back, and the engine says that it was not ready.
func TestResultsSurviveASilentNetwork(t *testing.T) {
	t.Parallel()
	const tasks = 8
	begun, finish := make(chan struct{}, tasks), make(chan struct{})
	c := behindProxy(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-finish
		return json.RawMessage(`1`), nil
	}})
	_, err := c.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, "a:", "default_retry_limit: 1")}))
	require.NoError(t, err)
	c.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond})
	for range tasks {
		<-begun
	}
	c.proxy.Refuse()
	c.proxy.HalfOpen()
	close(finish)
	require.Eventually(t, func() bool { return c.Ready() != nil }, patience, 5*time.Millisecond)
	require.ErrorIs(t, c.Ready(), orchestration.ErrNotReady)
	c.proxy.Accept()
	began := time.Now()
	c.waitForTasks(t, orchestration.TaskComplete, tasks)
	t.Logf("recorded %v after the network was back", time.Since(began).Round(time.Millisecond))
	require.Eventually(t, func() bool { return c.Ready() == nil }, patience, 5*time.Millisecond)
}

// A database may have limits and levels that are meant for the statements of an
// application. The engine's own do not fall under them.
func TestSettingsOfTheDatabaseDoNotHurt(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]string{
		"idle sessions end":         "idle_session_timeout = '300ms'",
		"transactions serializable": "default_transaction_isolation = 'serializable'",
		"transactions read only":    "default_transaction_read_only = on",
		"locks are not waited for":  "lock_timeout = '1ms'",
		"statements are short":      "statement_timeout = '100ms'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const tasks = 20
			pool := database(t)
			_, err := pool.Exec(t.Context(), `do $$ begin execute format('alter database %I set `+quoted(setting)+`', current_database()); end $$`)
			require.NoError(t, err)
			if strings.HasPrefix(setting, "statement_timeout") { // what the engine records takes longer
				_, err = pool.Exec(t.Context(), `
					create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.15); return null; end $$;
					create trigger slow after insert on tasker.attempts for each statement execute function slow()`)
				require.NoError(t, err)
			}
			pool.Reset() // new connections have the setting
			config := pool.Config()
			for _, limit := range []string{"statement_timeout", "idle_session_timeout"} { // of the test's own questions
				config.ConnConfig.RuntimeParams[limit] = "0"
			}
			slow := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
				// Outlives idle sessions, by the server's clock, on a connection that was not idle itself.
				conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
				if err != nil {
					return nil, err
				}
				defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
				_, err = conn.Exec(ctx, "select pg_sleep(0.7)")
				return json.RawMessage(`1`), err
			}
			b := engineOn(t, pool, funcs{"A": slow})
			b.pool, err = pgxpool.NewWithConfig(t.Context(), config)
			require.NoError(t, err)
			t.Cleanup(b.pool.Close)
			_, err = b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, "a:\nb: a\nc: a\nd: b c", "default_retry_limit: 1\nconcurrency_key: k\nconcurrency_limit: 30")}))
			require.NoError(t, err)
			b.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond})
			b.waitForTasks(t, orchestration.TaskComplete, tasks)
			var bad int
			require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*) from tasker.attempts where outcome <> 'complete'").Scan(&bad))
			require.Zero(t, bad)
		})
	}
}

// quoted is a text inside a text of format().
func quoted(s string) string {
	out := ""
	for _, r := range s {
		if r == '\'' {
			out += "'"
		}
		out += string(r)
	}
	return out
}

// The connection that a step waits for is silent from the start, and the engine's session
// is not. The step gets another connection, and its only attempt succeeds.
func TestStepDoesNotFailWithASilentNewConnection(t *testing.T) {
	t.Parallel()
	var c *cutOff
	c = behindProxy(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		c.proxy.Cut(pgproxy.Not(pgproxy.Listened)) // the step needs a new connection, and nothing else does
		c.proxy.SwallowAnswers(1, func(tag string) bool { return tag == "SELECT 1" }, pgproxy.ThenSilence, pgproxy.Not(pgproxy.Listened))
		return ledger(ctx, x)
	}})
	c.run(t, template(t, "a:", "default_retry_limit: 1"))
	require.Equal(t, 1, c.proxy.Swallowed())
	require.Zero(t, c.requireOnce(t, 1, 1))
}

// A connection is cut in the middle of a step. A handler in Go returns the driver's error,
// and the attempt has the class that the guide promises.
func TestALostConnectionHasItsClass(t *testing.T) {
	t.Parallel()
	var c *cutOff
	c = behindProxy(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.Attempt == 1 {
			if _, err := ledger(ctx, x); err != nil {
				return nil, err
			}
			c.proxy.Cut(pgproxy.Not(pgproxy.Listened))
		}
		return ledger(ctx, x)
	}})
	d := c.run(t, template(t, "a:", ""))
	history := step(t, d, "a").History
	require.Equal(t, []string{"error", "complete"}, outcomes(*step(t, d, "a")))
	require.Equal(t, "Tasker::SQLError::ConnectionLost", history[0].Err.Class)
}

// A step loses its connection after its engine has lost its session, as in a restart of
// the server. Its claim was dead by then, so the attempt is a loss and does not count.
func TestAConnectionLostWithTheSessionDoesNotCount(t *testing.T) {
	t.Parallel()
	var c *cutOff
	c = behindProxy(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.Attempt == 1 {
			if _, err := ledger(ctx, x); err != nil {
				return nil, err
			}
			before := number(t, c.pool)
			c.proxy.Cut(pgproxy.Listened)
			for now := before; ctx.Err() == nil && (now == 0 || now == before); now = number(t, c.pool) {
				time.Sleep(time.Millisecond)
			}
			c.proxy.Cut(pgproxy.Not(pgproxy.Listened))
		}
		return ledger(ctx, x)
	}})
	d := c.run(t, template(t, "a:", "default_retry_limit: 1"))
	require.Equal(t, []string{"lost", "complete"}, outcomes(*step(t, d, "a")))
	require.Equal(t, "Tasker::SQLError::ConnectionLost", step(t, d, "a").History[0].Err.Class)
	require.Equal(t, 1, c.requireOnce(t, 1, 1))
}

// The server loses a task while a step of it runs, and gives its number, and the numbers
// of its steps, to another task. What the engine knows of the first one does not count for
// the other.
func TestATaskWhoseNumberComesAgain(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]string{"fewer steps": "a:", "the same steps": "a:\nb: a"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c *cutOff
			begun := make(chan struct{})
			c = behindProxy(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				if string(x.Context) == `{}` {
					return x.Context, nil
				}
				close(begun)
				<-ctx.Done() // the engine finds out
				return nil, ctx.Err()
			}})
			id := c.submit(t, template(t, "a:\nb: a", ""), `{"first":1}`)
			ended := make(chan error, 1)
			go func() {
				_, err := c.Run(t.Context(), id)
				ended <- err
			}()
			<-begun
			_, err := c.pool.Exec(t.Context(), `truncate tasker.tasks restart identity cascade`)
			require.NoError(t, err)
			require.Equal(t, id, c.submit(t, template(t, steps, ""), `{}`))
			c.proxy.Cut(pgproxy.Listened)
			require.ErrorIs(t, <-ended, orchestration.ErrTaskNotFound)
			out, err := c.Run(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, orchestration.TaskComplete, out.State)
			d, err := c.Task(t.Context(), id)
			require.NoError(t, err)
			require.JSONEq(t, `{}`, string(step(t, d, "a").Results()))
			require.Equal(t, []string{"complete"}, outcomes(*step(t, d, "a")))
		})
	}
}

// Two steps read all rows and write one, in serializable transactions, at the same
// time. PostgreSQL refuses the commit of one. That is no fault of its handler: both steps
// have one attempt, and both succeed.
func TestSerializationFailureAtCommitDoesNotCount(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup
	both.Add(2)
	meet := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		var n int
		if err := tx.QueryRow(ctx, "select count(*) from ledger").Scan(&n); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "insert into ledger values ($1, $2)", x.TaskID, x.StepName); err != nil {
			return nil, err
		}
		if x.Attempt == 1 {
			both.Done()
			both.Wait()
		}
		return json.RawMessage(`1`), nil
	}
	b := engine(t, funcs{"A": meet, "B": meet}, mayLogErrors)
	_, err := b.pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	b.submit(t, template(t, "a:\nb:", "default_retry_limit: 1\nisolation: serializable"), "{}")
	b.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond})
	c := &cutOff{bundle: b}
	require.Equal(t, 1, c.requireOnce(t, 1, 2), "one commit was refused")
}

// A commit that fails is named as the guide to SQL promises, and not by the driver.
func TestFailedCommitsHaveTheNamesOfTheGuide(t *testing.T) {
	t.Parallel()
	twice := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "insert into late values (1), (1)") // checked at the commit
		}
		return json.RawMessage(`1`), err
	}
	terminated := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "select pg_terminate_backend(pg_backend_pid())")
		}
		_ = err // the handler hides it
		return json.RawMessage(`1`), nil
	}
	b := engine(t, funcs{"A": twice, "B": terminated}, mayLogErrors)
	_, err := b.pool.Exec(t.Context(), "create table late (n int unique deferrable initially deferred)")
	require.NoError(t, err)
	d := b.run(t, template(t, "a:\nb:", "default_retry_limit: 1"))
	a, lost := step(t, d, "a").History[0].Err, step(t, d, "b").History[0].Err
	require.Equal(t, []string{"Tasker::SQLError::UniqueViolation", "23505"}, []string{a.Class, a.ErrorCode})
	require.Equal(t, "Tasker::SQLError::ConnectionLost", lost.Class)
}

// A session that cannot be opened is said, once for each reason, and the engine is not
// ready.
func TestWhyThereIsNoSessionIsSaid(t *testing.T) {
	t.Parallel()
	direct := database(t)
	proxy := pgproxy.Start(t, direct.Config().ConnString())
	var said lines
	b := engineOn(t, poolThrough(t, proxy, direct), nil, func(c *orchestration.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&said, nil))
	})
	proxy.Refuse()
	proxy.Cut()
	require.Eventually(t, func() bool { return said.count("cannot open a session") > 0 && b.Ready() != nil }, patience, 5*time.Millisecond)
	require.ErrorContains(t, b.Ready(), "opening the engine's session")
	tries := proxy.Refused()
	require.Eventually(t, func() bool { return proxy.Refused() > tries+10 }, patience, 5*time.Millisecond)
	proxy.Accept()
	require.Eventually(t, func() bool { return b.Ready() == nil }, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool { return said.count("has a session again") == 1 }, patience, 5*time.Millisecond)
	require.LessOrEqual(t, said.count("cannot open a session"), 3, "%s", said.text.String())
}

// lines is a log that can be asked while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

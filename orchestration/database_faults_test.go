package orchestration_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
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

// The database restarts while handlers are in the middle of their steps, with
// and without a chance to say goodbye: every step's row is in the ledger once.
// That is so even if it had not waited for its disk, and lost what it had
// committed last.
func TestDatabaseRestartsInTheMiddleOfAStep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		commit string
	}{
		{"shut down", syscall.SIGINT, "on"},
		{"crashes", syscall.SIGQUIT, "on"},
		{"crashes and loses commits", syscall.SIGQUIT, "off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const tasks = 20
			pool, postmaster := privateDatabase(t, map[string]string{"synchronous_commit": c.commit})
			begun, restarted := make(chan struct{}, 4*tasks), make(chan struct{})
			middle := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				results, err := ledger(ctx, x)
				begun <- struct{}{}
				<-restarted
				return results, err
			}
			b := engineOn(t, pool, funcs{"A": ledger, "B": middle, "C": middle, "D": ledger}, mayLogErrors)
			_, err := pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
			require.NoError(t, err)
			made, err := b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "default_retry_limit: 50")}))
			require.NoError(t, err)
			b.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond})
			<-begun
			<-begun
			require.NoError(t, syscall.Kill(postmaster, c.signal))
			require.Eventually(t, func() bool { // the server is another one
				pid, err := postmasterOf(t.Context(), pool)
				return err == nil && pid != postmaster
			}, 60*time.Second, 10*time.Millisecond)
			close(restarted)
			for b.alive(t) > 0 {
				time.Sleep(10 * time.Millisecond) // alive polls
			}
			require.Equal(t, tasks, b.inState(t, orchestration.TaskComplete))
			var rows, distinct int
			require.NoError(t, pool.QueryRow(t.Context(), "select count(*), count(distinct (task, step)) from ledger").Scan(&rows, &distinct))
			require.Equal(t, []int{4 * tasks, 4 * tasks}, []int{rows, distinct})
			failed := 0
			for _, m := range made {
				d, err := b.Task(t.Context(), m.TaskID)
				require.NoError(t, err)
				for _, s := range d.Steps {
					failed += len(s.History) - 1
					requireChain(t, s.Transitions, string(s.State), orchestration.StepTransitions)
				}
			}
			if c.commit == "on" { // else what was hit may be lost too
				require.Positive(t, failed, "no attempt was hit")
			}
		})
	}
}

// privateDatabase is a server of this test's own, and its process.
func privateDatabase(t *testing.T, settings map[string]string) (*pgxpool.Pool, int) {
	t.Helper()
	server, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Dir: pgtest.MemoryDir(), Settings: settings})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	pool, err := pgxpool.New(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(pgx.Tx) error { return nil }))
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	require.NoError(t, conn.Close(t.Context()))
	// A server that dies within its first second is not started again.
	require.Eventually(t, func() bool {
		var long bool
		return pool.QueryRow(t.Context(), "select clock_timestamp() - pg_postmaster_start_time() > '1.2 s'").Scan(&long) == nil && long
	}, 30*time.Second, 10*time.Millisecond)
	postmaster, err := postmasterOf(t.Context(), pool)
	require.NoError(t, err)
	return pool, postmaster
}

// postmasterOf asks on a connection of its own: handlers may have all of the
// pool's.
func postmasterOf(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var file string
	if err := conn.QueryRow(ctx, "select pg_read_file('postmaster.pid')").Scan(&file); err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(file, "\n")
	return strconv.Atoi(first)
}

// The database keeps the template of every task: a worker that never saw the
// file runs the task to its end, and nobody can take the template away.
func TestTemplateRemovedWhileItsTasksRun(t *testing.T) {
	t.Parallel()
	fails := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		later := time.Minute
		return nil, &orchestration.StepError{Class: "Later", RetryAfter: &later}
	}
	first := engine(t, funcs{"B": fails})
	id := first.submit(t, template(t, "a:\nb: a", ""), "{}")
	out, err := first.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, out.State)
	_, err = first.pool.Exec(t.Context(), "delete from tasker.templates")
	require.ErrorContains(t, err, "foreign key")

	second := engineOn(t, first.pool, nil)
	require.NoError(t, second.RetryStep(t.Context(), id, "b", ops))
	out, err = second.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
}

// The class of a step was renamed while its task waited: the step ends with an
// error that names the class, the results so far are kept, and when the class
// is back a person has the task go on from there.
func TestHandlerClassRenamedWhileItsTasksWait(t *testing.T) {
	t.Parallel()
	var renamed, failed atomic.Bool
	var runs atomic.Int32
	clock := jumpingClock{start: time.Now()}
	b := engine(t, nil, func(c *orchestration.Config) {
		c.Handlers = resolverFunc(func(class string) (orchestration.StepHandler, error) {
			if class == "B" && renamed.Load() {
				return nil, errors.New("no class B")
			}
			return orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				if runs.Add(1); x.StepName == "b" && !failed.Swap(true) {
					minute := time.Minute
					return nil, &orchestration.StepError{Class: "Later", RetryAfter: &minute}
				}
				return json.RawMessage(`"` + x.StepName + `"`), nil
			}), nil
		})
		c.Now = clock.now
	})
	id := b.submit(t, template(t, "a:\nb: a\nc: a", ""), "{}")
	_, err := b.Handle(t.Context(), id)
	require.NoError(t, err)
	renamed.Store(true)
	clock.jump.Store(int64(2 * time.Minute))
	out, err := b.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInError, out.State)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, step(t, d, "b").Last().Err.Message, "no class B")
	require.True(t, step(t, d, "b").Last().Err.Permanent)
	require.Equal(t, `"c"`, string(step(t, d, "c").Results()))

	renamed.Store(false)
	require.NoError(t, b.RetryTask(t.Context(), id, ops))
	out, err = b.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
	require.EqualValues(t, 4, runs.Load(), "a and c once, b twice")
}

// jumpingClock is one that can be set.
type jumpingClock struct {
	start time.Time
	jump  atomic.Int64 // nanoseconds
}

func (c *jumpingClock) now() time.Time {
	return c.start.Add(time.Since(c.start) + time.Duration(c.jump.Load()))
}

type resolverFunc func(class string) (orchestration.StepHandler, error)

func (f resolverFunc) ResolveHandler(_ context.Context, class string) (orchestration.StepHandler, error) {
	return f(class)
}

// The database's clock is set back and then far ahead while a task waits: the
// wait stays a stated one, nothing runs twice, and the task ends.
func TestClockThatJumps(t *testing.T) {
	t.Parallel()
	clock := jumpingClock{start: time.Now()}
	var runs atomic.Int32
	b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if runs.Add(1); x.Attempt == 1 {
			minute := time.Minute
			return nil, &orchestration.StepError{Class: "Later", RetryAfter: &minute}
		}
		return nil, nil
	}}, func(c *orchestration.Config) { c.Now = clock.now })
	id := b.submit(t, template(t, "a:\nb: a", ""), "{}")
	out, err := b.Handle(t.Context(), id)
	require.NoError(t, err)
	due := out.Next
	require.WithinDuration(t, clock.start.Add(time.Minute), due, 30*time.Second)

	clock.jump.Store(int64(-24 * time.Hour))
	out, err = b.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, out.State)
	require.True(t, due.Equal(out.Next), "%s and not %s", out.Next, due)
	require.EqualValues(t, 1, runs.Load())

	clock.jump.Store(int64(240 * time.Hour))
	out, err = b.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
	require.EqualValues(t, 2, runs.Load())

	// What was written in the wrong order of times is read in the right one.
	clock.jump.Store(int64(-24 * time.Hour))
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	for _, s := range d.Steps {
		requireChain(t, s.Transitions, string(s.State), orchestration.StepTransitions)
	}
	b.submit(t, template(t, "b:", ""), "{}")
	b.work(t, orchestration.WorkerConfig{})
	b.waitForTasks(t, orchestration.TaskComplete, 2)
}

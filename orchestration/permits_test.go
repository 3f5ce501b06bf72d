package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// gauge counts how many handlers run, and the maximum so far. The first handlers wait until
// as many run at once as are wanted.
type gauge struct {
	mu           sync.Mutex
	now, most    int
	wanted       int
	wantedAtOnce chan struct{}
}

func newGauge(wanted int) *gauge {
	return &gauge{wanted: wanted, wantedAtOnce: make(chan struct{})}
}

func (g *gauge) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	if before := g.most; g.now > before {
		g.most = g.now
		if g.most == g.wanted {
			close(g.wantedAtOnce)
		}
	}
}

func (g *gauge) run(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
	g.add(1)
	defer g.add(-1)
	select {
	case <-g.wantedAtOnce:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	time.Sleep(2 * time.Millisecond) // the work that must not overlap
	return nil, nil
}

// permitRows counts the permits that steps hold, and the steps that wait for one.
func (b *bundle) permitRows(t *testing.T) (held, wanted int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), `select count(*) filter (where claimant is not null), count(*) filter (where claimant is null)
		from tasker.slots`).Scan(&held, &wanted))
	return held, wanted
}

// Two engines share a database with hundreds of tasks. The number of running steps
// reaches the limit and never exceeds it. Steps with other keys, or without one, do not
// wait.
func TestConcurrencyKeyHoldsAcrossEngines(t *testing.T) {
	t.Parallel()
	const tasks = 100
	limited, single := newGauge(3), newGauge(1)
	handlers := funcs{"A": limited.run, "B": single.run}
	one := engine(t, handlers)
	two := engineOn(t, one.pool, handlers)
	tpl := parse(t, `
  - {name: a, handler_class: A, concurrency_key: stripe, concurrency_limit: 3}
  - {name: b, handler_class: B, concurrency_key: mail}
  - {name: c, handler_class: C}
`)
	_, err := one.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: tpl}))
	require.NoError(t, err)
	one.work(t, orchestration.WorkerConfig{})
	two.work(t, orchestration.WorkerConfig{})
	one.waitForTasks(t, orchestration.TaskComplete, tasks)
	require.Equal(t, 3, limited.most)
	require.Equal(t, 1, single.most)
	var attempts int
	require.NoError(t, one.pool.QueryRow(t.Context(), "select count(*) from tasker.attempts").Scan(&attempts))
	require.Equal(t, 3*tasks, attempts, "waiting costs no attempt")
}

// No worker holds a task whose step waits for a permit. The step does not keep asking,
// and is woken when the permit is freed, in whatever way.
func TestWaitingForAPermit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more string
		end  func(t *testing.T, b *bundle, holder int64, finish chan error)
	}{
		"completes": {"", func(_ *testing.T, _ *bundle, _ int64, finish chan error) { finish <- nil }},
		"fails": {"default_retry_limit: 1", func(_ *testing.T, _ *bundle, _ int64, finish chan error) {
			finish <- fmt.Errorf("no")
		}},
		"is cancelled": {"", func(t *testing.T, b *bundle, holder int64, _ chan error) {
			require.NoError(t, b.CancelTask(t.Context(), holder, ops))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			finish, begun := make(chan error), make(chan int64, 8)
			var held atomic.Bool
			b := engine(t, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				begun <- x.TaskID
				if held.Swap(true) {
					return nil, nil // the permit is its own, also if the holder has not heard of its cancel yet
				}
				select {
				case err := <-finish:
					return nil, err
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}})
			tpl := template(t, "a:", "concurrency_key: stripe\n"+c.more)
			holder := b.submit(t, tpl, "{}")
			b.work(t, orchestration.WorkerConfig{Poll: time.Hour})
			require.Equal(t, holder, <-begun)
			waiter := b.submit(t, tpl, "{}")
			require.Eventually(t, func() bool { _, wanted := b.permitRows(t); return wanted == 1 }, patience, time.Millisecond)
			require.Eventually(t, func() bool {
				var later bool
				return b.pool.QueryRow(t.Context(), `select due_at > last_asked + interval '0.9 s' from tasker.queue q join tasker.tasks using (task_id),
					(select since as last_asked from tasker.slots where claimant is null) w
					where task_id = $1 and q.held_by is null and state = 'in_progress'`, waiter).Scan(&later) == nil && later
			}, patience, time.Millisecond)
			d, err := b.Task(t.Context(), waiter)
			require.NoError(t, err)
			require.Equal(t, orchestration.StepPending, step(t, d, "a").State)
			require.Zero(t, step(t, d, "a").Attempts)
			require.Equal(t, "stripe", step(t, d, "a").WaitsForKey)
			c.end(t, b, holder, finish)
			require.Equal(t, waiter, <-begun)
			b.waitForTasks(t, orchestration.TaskInProgress, 0)
		})
	}
}

// Waiting steps get permits in the order in which they asked.
func TestPermitsGoInOrder(t *testing.T) {
	t.Parallel()
	_, withClock := setClock() // it stands still: no permit's reservation ends because the machine is busy
	var mu sync.Mutex
	var order []int64
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	var first sync.Once
	b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		first.Do(func() {
			begun <- struct{}{}
			<-finish
		})
		mu.Lock()
		defer mu.Unlock()
		order = append(order, x.TaskID)
		return nil, nil
	}}, withClock)
	tpl := template(t, "a:", "concurrency_key: stripe")
	b.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	var want []int64
	for i := range 6 {
		want = append(want, b.submit(t, tpl, "{}"))
		if i == 0 {
			<-begun
			continue
		}
		require.Eventually(t, func() bool { _, wanted := b.permitRows(t); return wanted == i }, patience, time.Millisecond)
	}
	close(finish)
	b.waitForTasks(t, orchestration.TaskComplete, 6)
	require.Equal(t, want, order)
}

// Three steps of one task share a key. They run within its limit, with and without a
// worker.
func TestPermitsWithinATask(t *testing.T) {
	t.Parallel()
	g := newGauge(1)
	b := engine(t, funcs{"A": g.run, "B": g.run}, func(c *orchestration.Config) { c.MaxParallelSteps = 2 })
	d := b.run(t, parse(t, `
  - {name: a, handler_class: A, concurrency_key: stripe}
  - {name: b, handler_class: B, concurrency_key: stripe}
  - {name: c, handler_class: C}
`))
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Equal(t, 1, g.most)
}

// A waiting step is cancelled. Its place in the queue does not block the others.
func TestStepThatWaitsForAPermitCanBeCancelled(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan int64, 8), make(chan struct{})
	b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- x.TaskID
		<-finish
		return nil, nil
	}})
	tpl := template(t, "a:", "concurrency_key: stripe")
	b.work(t, orchestration.WorkerConfig{Poll: time.Hour})
	b.submit(t, tpl, "{}")
	<-begun
	var waiting []int64
	for i := range 2 {
		waiting = append(waiting, b.submit(t, tpl, "{}"))
		require.Eventually(t, func() bool { _, wanted := b.permitRows(t); return wanted == i+1 }, patience, time.Millisecond)
	}
	require.NoError(t, b.CancelTask(t.Context(), waiting[0], ops))
	close(finish)
	require.Equal(t, waiting[1], <-begun)
	b.waitForTasks(t, orchestration.TaskComplete, 2)
}

// The permit of a killed process is free at once. It is the only permit, and the test
// prevents a takeover of the task that had it.
func TestPermitOfAKilledProcessIsFreed(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	var runs atomic.Int32
	b := engineOn(t, pool, funcs{"Hang": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		return nil, nil
	}})
	_, err = pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	tpl := template(t, "hang:", "concurrency_key: stripe")
	b.submit(t, tpl, "{}")
	process := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	process.Env = append(os.Environ(), workerVariable+"="+url)
	require.NoError(t, process.Start())
	require.Eventually(t, func() bool { taken, _ := b.permitRows(t); return taken == 1 }, patience, time.Millisecond)
	other := b.submit(t, tpl, "{}")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Run(ctx, other)
		ended <- err
	}()
	require.Eventually(t, func() bool { _, wanted := b.permitRows(t); return wanted == 1 }, patience, time.Millisecond)
	require.Zero(t, runs.Load())
	require.NoError(t, process.Process.Kill())
	_ = process.Wait() // it was killed
	require.NoError(t, <-ended)
	require.EqualValues(t, 1, runs.Load())
	b.work(t, orchestration.WorkerConfig{})
	b.waitForTasks(t, orchestration.TaskComplete, 2)
}

package orchestration_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// threaded are handlers that run on threads.
type threaded struct {
	resolver
	threads *orchestration.Threads
}

func (h threaded) ThreadsOf(string) *orchestration.Threads { return h.threads }

// onThreads lets an engine's handlers run on n threads.
func onThreads(n int, handlers funcs) func(*orchestration.Config) {
	return func(c *orchestration.Config) {
		c.Handlers = threaded{resolver(handlers), orchestration.NewThreads(n)}
	}
}

// gate is a handler that waits until it is opened. It counts how many run.
type gate struct {
	running, most atomic.Int32
	opened        chan struct{}
	once          sync.Once
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) handle(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
	n := g.running.Add(1)
	defer g.running.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	select {
	case <-g.opened:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// claimed is how many steps are claimed, and leased how many tasks.
func (b *bundle) claimed(t *testing.T) (steps, leased int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), `select (select count(*) from tasker.steps where state = 'in_progress'),
		(select count(*) from tasker.queue where held_by is not null)`).Scan(&steps, &leased))
	return steps, leased
}

// A step's time does not run while it waits for a thread: it begins when the handler before
// it, on the only thread, has returned.
func TestTimeRunsOnlyWhileTheHandlerRuns(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Second
	for name, graph := range map[string]string{"steps of one task": "a:\nb:\nc:\nd:", "tasks": "a:"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var returned time.Time // by the handler before
			var early []time.Duration
			slow := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
				deadline, _ := ctx.Deadline()
				mu.Lock()
				defer mu.Unlock()
				if began := deadline.Add(-limit); began.Before(returned) {
					early = append(early, returned.Sub(began))
				}
				time.Sleep(50 * time.Millisecond) // the others wait meanwhile
				returned = time.Now()
				return nil, nil
			}
			b := engine(t, nil, onThreads(1, funcs{"A": slow, "B": slow, "C": slow, "D": slow}))
			b.work(t, orchestration.WorkerConfig{})
			_, err := b.SubmitMany(t.Context(), many(10, orchestration.Submission{
				Template: template(t, graph, "timeout_seconds: 50\ndefault_retry_limit: 1"), Context: json.RawMessage(`{}`)}))
			require.NoError(t, err)
			b.waitForTasks(t, orchestration.TaskComplete, 10)
			require.Empty(t, early, "the time of steps that waited ran before")
		})
	}
}

// Each of two workers claims as many steps as it has threads, and leases no more tasks.
func TestWorkersShareSlowTasksEvenly(t *testing.T) {
	t.Parallel()
	for name, graph := range map[string]string{"one step": "a:", "a diamond": "a:\nb: a\nc: a\nd: b c"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newGate(), newGate()
			defer first.open()
			defer second.open()
			one := engine(t, nil, onThreads(4, funcs{"A": first.handle}))
			two := engineOn(t, one.pool, nil, onThreads(4, funcs{"A": second.handle}))
			one.work(t, orchestration.WorkerConfig{})
			two.work(t, orchestration.WorkerConfig{})
			_, err := one.SubmitMany(t.Context(), many(32, orchestration.Submission{Template: template(t, graph, ""), Context: json.RawMessage(`{}`)}))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return first.running.Load() == 4 && second.running.Load() == 4 }, patience, time.Millisecond)
			steps, leased := one.claimed(t)
			require.Equal(t, []int{8, 8}, []int{steps, leased}, "steps claimed, tasks leased")
			first.open()
			second.open()
			one.waitForTasks(t, orchestration.TaskComplete, 32)
			require.EqualValues(t, 4, max(first.most.Load(), second.most.Load()))
		})
	}
}

// Quick handlers let a worker lease ahead. If its threads then do not come back, it gives
// the tasks back, and another worker runs them.
func TestWorkerGivesBackWhatItHasNoThreadFor(t *testing.T) {
	t.Parallel()
	stuck := newGate()
	defer stuck.open()
	one := engine(t, nil, onThreads(1, funcs{"Hang": stuck.handle}))
	one.work(t, orchestration.WorkerConfig{})
	quick := orchestration.Submission{Template: named(t, "quick", "a:\nb: a", ""), Context: json.RawMessage(`{}`)}
	_, err := one.SubmitMany(t.Context(), many(200, quick))
	require.NoError(t, err)
	one.waitForTasks(t, orchestration.TaskComplete, 200)
	hang := orchestration.Submission{Template: named(t, "hang", "hang:", ""), Context: json.RawMessage(`{}`), Priority: 1}
	_, err = one.SubmitMany(t.Context(), append(many(1, hang), many(100, quick)...))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stuck.running.Load() == 1 }, patience, time.Millisecond)
	two := engineOn(t, one.pool, nil, onThreads(1, funcs{"Hang": stuck.handle}))
	two.work(t, orchestration.WorkerConfig{})
	one.waitForTasks(t, orchestration.TaskComplete, 300)
	steps, leased := one.claimed(t)
	require.Equal(t, []int{1, 1}, []int{steps, leased}, "the first one keeps only what it runs")
	var attempts int
	require.NoError(t, one.pool.QueryRow(t.Context(), "select max(attempts) from tasker.steps").Scan(&attempts))
	require.Equal(t, 1, attempts, "what was claimed ahead was released")
}

// Handlers in Go need no thread, also while all threads are taken.
func TestGoHandlersBesideThreads(t *testing.T) {
	t.Parallel()
	slow := newGate()
	defer slow.open()
	quick := orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { return nil, nil })
	b := engine(t, nil, func(c *orchestration.Config) {
		c.Handlers = orchestration.Handlers{
			ByClass: map[string]orchestration.StepHandler{"B": quick, "C": quick},
			Next:    threaded{resolver{"A": slow.handle}, orchestration.NewThreads(2)},
		}
	})
	b.work(t, orchestration.WorkerConfig{})
	_, err := b.SubmitMany(t.Context(), append(
		many(10, orchestration.Submission{Template: named(t, "slow", "a:\nb:", ""), Context: json.RawMessage(`{}`)}),
		many(50, orchestration.Submission{Template: named(t, "quick", "b:\nc: b", ""), Context: json.RawMessage(`{}`)})...))
	require.NoError(t, err)
	b.waitForTasks(t, orchestration.TaskComplete, 50)
	require.Eventually(t, func() bool { return slow.running.Load() == 2 }, patience, time.Millisecond)
	slow.open()
	b.waitForTasks(t, orchestration.TaskComplete, 60)
	require.EqualValues(t, 2, slow.most.Load())
}

// A thread whose step fails, times out, panics or is abandoned is free again.
func TestThreadsComeBack(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	handlers := funcs{
		"Fails": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			return nil, context.Canceled
		},
		"Panics": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { panic("on purpose") },
		"Slow": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"Stuck": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			<-stuck
			return nil, nil
		},
	}
	threads := orchestration.NewThreads(1)
	b := engine(t, nil, func(c *orchestration.Config) {
		c.Handlers, c.Grace = threaded{resolver(handlers), threads}, 50*time.Millisecond
		mayLogErrors(c)
	})
	b.work(t, orchestration.WorkerConfig{})
	list := many(1, orchestration.Submission{
		Template: template(t, "fails:\npanics:\nslow:\nstuck:", "timeout_seconds: 0.1\ndefault_retry_limit: 2"), Context: json.RawMessage(`{}`)})
	_, err := b.SubmitMany(t.Context(), list)
	require.NoError(t, err)
	b.waitForTasks(t, orchestration.TaskInError, 1)
	_, err = b.SubmitMany(t.Context(), many(5, orchestration.Submission{Template: named(t, "after", diamond, ""), Context: json.RawMessage(`{}`)}))
	require.NoError(t, err)
	b.waitForTasks(t, orchestration.TaskComplete, 5)
	require.Eventually(t, func() bool { return threads.Busy() == 0 }, patience, time.Millisecond)
}

// Quick handlers may wait in the queue of their threads. When a thread then does not come
// back, those that have not begun are withdrawn: no attempt counts, and another worker runs
// them.
func TestQueuedHandlersAreWithdrawn(t *testing.T) {
	t.Parallel()
	turns := func() (funcs, chan struct{}) {
		turn, hang := make(chan struct{}, 1), make(chan struct{})
		inTurn := func(wait <-chan struct{}) orchestration.StepHandlerFunc {
			return func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				select {
				case turn <- struct{}{}:
				case <-x.Withdraw:
					return nil, orchestration.ErrNotBegun
				}
				defer func() { <-turn }()
				<-wait
				return nil, nil
			}
		}
		at := make(chan struct{})
		close(at)
		return funcs{"A": inTurn(at), "B": inTurn(at), "Hang": inTurn(hang)}, hang
	}
	threads := orchestration.NewQueuedThreads(1, 64)
	queued := func(h funcs, threads *orchestration.Threads) func(*orchestration.Config) {
		return func(c *orchestration.Config) { c.Handlers = threaded{resolver(h), threads} }
	}
	first, hang := turns()
	defer close(hang)
	one := engine(t, nil, queued(first, threads))
	one.work(t, orchestration.WorkerConfig{})
	quick := orchestration.Submission{Template: named(t, "quick", "a:\nb: a", ""), Context: json.RawMessage(`{}`)}
	_, err := one.SubmitMany(t.Context(), many(300, quick))
	require.NoError(t, err)
	one.waitForTasks(t, orchestration.TaskComplete, 300)
	threads.TakeForQuick(time.Hour) // they are not on a busy machine
	one.submit(t, named(t, "hang", "hang:", ""), "{}")
	require.Eventually(t, func() bool { return threads.Busy() == 1 }, patience, time.Millisecond)
	_, err = one.SubmitMany(t.Context(), many(200, quick))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return threads.InQueue() > 0 }, patience, time.Millisecond)
	threads.TakeForQuick(0)
	require.Eventually(t, func() bool { // what it had begun ahead is back
		steps, leased := one.claimed(t)
		return steps == 1 && leased == 1
	}, patience, 5*time.Millisecond)
	second, other := turns()
	close(other)
	two := engineOn(t, one.pool, nil, queued(second, orchestration.NewQueuedThreads(1, 64)))
	two.work(t, orchestration.WorkerConfig{})
	one.waitForTasks(t, orchestration.TaskComplete, 500)
	var attempts int
	require.NoError(t, one.pool.QueryRow(t.Context(), "select max(attempts) from tasker.steps").Scan(&attempts))
	require.Equal(t, 1, attempts)
	one.mu.Lock()
	defer one.mu.Unlock()
	released := 0
	for _, e := range one.events {
		if e.Kind == orchestration.EventStepReleased {
			released++
			require.Zero(t, e.Duration, "it has not begun")
		}
	}
	require.NotZero(t, released)
}

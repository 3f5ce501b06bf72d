package orchestration

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
)

// WorkerConfig configures [Engine.Work]. The zero value is sound.
type WorkerConfig struct {
	// MaxTasks is how many tasks the worker has in hand at a time. A task in hand
	// waits for a commit most of the time, and commits are shared: with quick
	// handlers, more tasks are more speed. Default 100.
	MaxTasks int
	// Poll is how often it looks for work that nobody told it of, and for tasks
	// of workers that are gone. Default 1 s.
	Poll time.Duration
	// Drain is how long handlers that run may go on once ctx has ended. Then
	// they are interrupted, and their attempts do not count. Default 30 s; a
	// negative value interrupts at once.
	Drain time.Duration
}

func (c WorkerConfig) withDefaults() (WorkerConfig, error) {
	if c.MaxTasks < 0 || c.Poll < 0 {
		return c, errors.Newf("orchestration: WorkerConfig: MaxTasks (%d) and Poll (%s) must not be negative", c.MaxTasks, c.Poll)
	}
	if c.MaxTasks == 0 {
		c.MaxTasks = 100
	}
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.Drain == 0 {
		c.Drain = 30 * time.Second
	}
	return c, nil
}

// Work takes tasks that are due and handles them, many at a time, until ctx
// ends. Any number of workers share the tasks of a database. Then it drains: it
// takes nothing more, starts no more steps, lets those that run come to their
// end, gives its tasks back, and returns nil. An error is returned only for a
// configuration that makes no sense; a database that does not answer is waited
// for.
func (e *Engine) Work(ctx context.Context, cfg WorkerConfig) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	w := &worker{engine: e, config: cfg, leased: map[int64]bool{}, freed: make(chan struct{}, 1), stopping: ctx.Done()}
	handlers, interrupt := context.WithCancelCause(context.WithoutCancel(ctx))
	defer interrupt(nil)
	woken, stop := e.watchers.watch(anyTask)
	defer stop()
	w.loop(ctx, handlers, woken)
	w.drain(interrupt)
	return nil
}

// worker is one call of Work.
type worker struct {
	engine   *Engine
	config   WorkerConfig
	stopping <-chan struct{}
	tasks    sync.WaitGroup
	freed    chan struct{} // a task has left the worker's hands

	mu     sync.Mutex
	leased map[int64]bool
}

// loop takes tasks while there are any, and then waits to be told of more.
func (w *worker) loop(ctx, handlers context.Context, woken <-chan struct{}) {
	poll := time.NewTicker(w.config.Poll)
	defer poll.Stop()
	w.reclaim(ctx)
	for ctx.Err() == nil {
		room := w.room()
		taken := 0
		if room > 0 {
			taken = w.take(ctx, handlers, room)
		}
		if room > 0 && taken == room {
			continue
		}
		timer := time.NewTimer(w.untilDue(ctx, room > 0))
		select {
		case <-woken:
		case <-w.freed:
		case <-timer.C:
		case <-poll.C:
			w.reclaim(ctx)
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// drain waits for the tasks in hand.
func (w *worker) drain(interrupt context.CancelCauseFunc) {
	if w.config.Drain > 0 {
		timer := time.AfterFunc(w.config.Drain, func() { interrupt(errDrained) })
		defer timer.Stop()
	} else {
		interrupt(errDrained)
	}
	w.tasks.Wait()
}

var errDrained = errors.New("the worker stops, and the handler took longer than it may")

func (w *worker) room() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config.MaxTasks - len(w.leased)
}

// take leases up to n tasks and handles each in a goroutine of its own.
func (w *worker) take(ctx, handlers context.Context, n int) int {
	leases, err := w.lease(ctx, n)
	if err != nil {
		if ctx.Err() == nil {
			w.engine.cfg.Logger.Error("tasks could not be taken; trying again", "error", err)
		}
		return 0
	}
	for _, l := range leases {
		w.mu.Lock()
		again := w.leased[l.taskID]
		w.leased[l.taskID] = true
		w.mu.Unlock()
		if again { // its lease was lost with the session, and came back here
			w.giveBack(ctx, l, w.engine.now().Add(w.config.Poll), -1)
			continue
		}
		w.tasks.Go(func() { w.handle(handlers, l) })
	}
	return len(leases)
}

func (w *worker) handle(ctx context.Context, l lease) {
	defer func() {
		w.mu.Lock()
		delete(w.leased, l.taskID)
		w.mu.Unlock()
		signal(w.freed)
	}()
	out, revision, err := w.handleTask(ctx, l)
	next := out.Next
	switch {
	case err == nil && out.State.Final():
		return // ending a task ends its lease
	case err != nil && ctx.Err() == nil:
		w.engine.cfg.Logger.Error("a task could not be handled; it is tried again", "task", l.taskID, "error", err)
		next, revision = w.engine.now().Add(w.config.Poll), -1
	case err != nil:
		next, revision = w.engine.now(), -1
	case next.IsZero(): // drained, or another engine runs what is left
		next = w.engine.now().Add(min(otherEnginePause, w.config.Poll))
		select {
		case <-w.stopping:
			next = w.engine.now()
		default:
		}
	}
	w.giveBack(ctx, l, next, revision)
}

// handleTask keeps a fault of the engine from ending the worker.
func (w *worker) handleTask(ctx context.Context, l lease) (out Outcome, revision int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Newf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.engine.handle(ctx, handleOptions{taskID: l.taskID, stopping: w.stopping, begun: l.begun})
}

package orchestration

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
)

// DefaultMaxTasks is how many tasks a worker leases at a time by default: of 32, 100 and
// 300, what measured best with quick handlers (docs/performance.md).
const DefaultMaxTasks = 100

// WorkerConfig configures [Engine.Work]. The zero value is a sound choice.
type WorkerConfig struct {
	// MaxTasks is how many tasks the worker leases at a time. A leased task waits for
	// a commit most of the time, and tasks share commits. With quick handlers, more
	// tasks are therefore faster. Default [DefaultMaxTasks].
	MaxTasks int
	// Poll is how often the worker looks for tasks that no notification told it of,
	// and for tasks that dead workers have left behind. Default 5 s.
	Poll time.Duration
	// Drain is how long running handlers may continue after ctx has ended. After that
	// they are interrupted, and their attempts do not count. Default 30 s. A negative
	// value interrupts at once.
	Drain time.Duration
	// Keep is how long ended tasks are kept. Older ones are deleted in the background, but
	// for tasks in error; see [Engine.Prune]. A template's keep wins. Default 0: only
	// tasks of templates with a keep are deleted.
	Keep time.Duration
}

func (c WorkerConfig) withDefaults() (WorkerConfig, error) {
	if c.MaxTasks < 0 || c.Poll < 0 || c.Keep < 0 {
		return c, errors.Newf("orchestration: WorkerConfig: MaxTasks (%d), Poll (%s) and Keep (%s) must not be negative", c.MaxTasks, c.Poll, c.Keep)
	}
	if c.MaxTasks == 0 {
		c.MaxTasks = DefaultMaxTasks
	}
	if c.Poll == 0 {
		c.Poll = 5 * time.Second
	}
	if c.Drain == 0 {
		c.Drain = 30 * time.Second
	}
	return c, nil
}

// Work leases due tasks and handles them, many at a time, until ctx ends. Any number
// of workers share the tasks of a database.
//
// When ctx ends, the worker drains: it leases no more tasks and starts no more steps,
// waits for the running steps, gives its tasks back, and returns nil. Work returns an
// error only for a wrong configuration. It waits for a database that does not answer.
func (e *Engine) Work(ctx context.Context, cfg WorkerConfig) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	w := &worker{engine: e, config: cfg, freed: make(chan struct{}, 1), stopping: ctx.Done(), lookAgain: lookAgainFirst}
	handlerCtx, interrupt := context.WithCancelCause(context.WithoutCancel(ctx))
	defer interrupt(nil)
	woken, stop := e.watchers.watch(anyTask)
	defer stop()
	w.maintenance = startMaintenance(ctx, e, cfg.Poll, cfg.Keep)
	defer w.maintenance.stop()
	w.loop(ctx, handlerCtx, woken)
	w.drain(interrupt)
	return nil
}

// worker is one call of Work.
type worker struct {
	engine      *Engine
	config      WorkerConfig
	maintenance *maintenance
	stopping    <-chan struct{}
	tasks       sync.WaitGroup
	freed       chan struct{} // receives a value when the worker has ended a lease
	leased      atomic.Int32  // how many tasks it has in hand
	lookAgain   time.Duration // the pause before it looks again for tasks that others had locked
}

// loop leases tasks while there are any, and then waits for a reason to look again: a
// notification, a task that falls due, or Poll.
func (w *worker) loop(ctx, handlerCtx context.Context, woken <-chan struct{}) {
	look, more := true, true // tasks may have fallen due; ready tasks may be left
	looked := time.Now()
	for ctx.Err() == nil {
		if time.Since(looked) >= w.config.Poll {
			w.freeUnheard(ctx)
			look, looked = true, time.Now()
		}
		if look {
			w.maintenance.bringIn(ctx)
			look, more = false, true
		}
		if room := w.room(); more && room > 0 {
			if more = w.take(ctx, handlerCtx, room) == room; more {
				continue
			}
		}
		select {
		case <-woken:
			look = true
		case <-w.maintenance.wake:
			look = true
		case <-w.freed:
			if more {
				w.gather(ctx)
			}
		case <-ctx.Done():
		}
	}
}

// room is how many tasks the worker may lease.
func (w *worker) room() int { return w.config.MaxTasks - int(w.leased.Load()) }

// gatherTime is how long a worker with little room waits for more.
const gatherTime = 20 * time.Millisecond

// gather waits a moment for a quarter of the worker's tasks to end, so that one
// statement leases many. Meanwhile the others keep it busy.
func (w *worker) gather(ctx context.Context) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for w.room() < w.config.MaxTasks/4 {
		select {
		case <-w.freed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// drain waits for the leased tasks.
func (w *worker) drain(interrupt context.CancelCauseFunc) {
	if w.config.Drain > 0 {
		timer := time.AfterFunc(w.config.Drain, func() { interrupt(errDrained) })
		defer timer.Stop()
	} else {
		interrupt(errDrained)
	}
	w.tasks.Wait()
}

var errDrained = errors.New("the worker stops, and the handler did not return in time")

// lookAgainFirst is half the first pause before a worker looks again for tasks that others
// had locked. Each pause doubles.
const lookAgainFirst = 10 * time.Millisecond

// take leases up to n tasks and handles each in a goroutine of its own. It returns the
// number of tasks.
func (w *worker) take(ctx, handlerCtx context.Context, n int) int {
	hand := &w.engine.inHand
	hand.leasing.RLock()
	defer hand.leasing.RUnlock()
	leases, locked, err := w.lease(ctx, n)
	if err != nil {
		if ctx.Err() == nil {
			w.engine.cfg.Logger.Error("tasks could not be leased; trying again", "error", err)
		}
		w.maintenance.wakeAt(w.engine.now().Add(w.retryPause()))
		return 0
	}
	if w.lookAgain = min(2*w.lookAgain, w.retryPause()); !locked {
		w.lookAgain = lookAgainFirst
	} else { // who has locked a task may tell nobody of its end
		w.maintenance.wakeAt(w.engine.now().Add(w.lookAgain))
	}
	for _, l := range leases {
		if !hand.add(l.taskID) { // the session was lost and its leases with it, and a worker still runs the task
			w.giveBack(ctx, l, w.engine.now().Add(w.retryPause()), -1)
			continue
		}
		w.leased.Add(1)
		w.tasks.Go(func() { w.handle(handlerCtx, l) })
	}
	return len(leases)
}

// retryPause is the pause before a task is tried again that could not be handled.
func (w *worker) retryPause() time.Duration { return min(w.config.Poll, retryPause) }

// handle handles a leased task, and then gives it back unless it has ended.
func (w *worker) handle(ctx context.Context, l lease) {
	defer func() {
		w.engine.inHand.remove(l.taskID)
		w.leased.Add(-1)
		signal(w.freed)
	}()
	out, revision, err := w.handleGuarded(ctx, l)
	next := out.Next
	switch {
	case err == nil && out.State.Final():
		return // the end of a task ends its lease
	case err != nil && ctx.Err() == nil:
		w.engine.cfg.Logger.Error("a task could not be handled; trying again", "task", l.taskID, "error", err)
		next, revision = w.engine.now().Add(w.retryPause()), -1
	case err != nil:
		next, revision = w.engine.now(), -1
	case next.IsZero(): // the worker drains, or another engine runs the last steps
		next = w.engine.now().Add(min(otherEnginePause, w.config.Poll))
		select {
		case <-w.stopping:
			next = w.engine.now()
		default:
		}
	}
	w.giveBack(ctx, l, next, revision)
}

// handleGuarded turns a panic of the engine into an error, so that it does not end the
// worker.
func (w *worker) handleGuarded(ctx context.Context, l lease) (out Outcome, revision int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Newf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.engine.handle(ctx, handleOptions{taskID: l.taskID, stopping: w.stopping, begun: l.begun})
}

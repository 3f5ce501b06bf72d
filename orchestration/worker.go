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
	// MaxTasks is how many tasks the worker leases at a time, at most. A leased task of
	// quick handlers waits for a commit most of the time, and tasks share commits. So more
	// tasks are faster. If handlers run on [Threads] and take long, the worker leases
	// only as many tasks as it has threads for. Default [DefaultMaxTasks].
	MaxTasks int
	// Namespaces, Names and Queues restrict the tasks that the worker takes, by their
	// template. All of them must hold; an empty one lets everything pass.
	Namespaces, Names, Queues []string
	// Poll is how often the worker looks for tasks that no notification told it of,
	// and for tasks that dead workers have left behind. Default 5 s.
	Poll time.Duration
	// Drain is how long running handlers may continue after ctx has ended. After that
	// they are interrupted, and their attempts do not count. Default 30 s. A negative
	// value interrupts at once.
	Drain time.Duration
	// Interrupt ends the drain when it is closed: handlers that still run are interrupted,
	// and their attempts do not count. It has no effect before ctx has ended. Optional.
	Interrupt <-chan struct{}
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
// When ctx ends, the worker drains. It leases no more tasks, starts no more steps, and
// waits for the running ones. Then it gives its tasks back, and returns nil. Work returns an
// error only for a wrong configuration. It waits for a database that does not answer.
//
// Workers with different filters should have engines of their own: [Engine.Workers] and
// [TaskSummary.WaitsFor] know only the filters of an engine's last call.
func (e *Engine) Work(ctx context.Context, cfg WorkerConfig) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	w := &worker{engine: e, config: cfg, freed: make(chan struct{}, 1), stopping: ctx.Done(), lookAgain: lookAgainFirst}
	w.repertoire = newRepertoire(e, &w.config)
	w.repertoire.describe()
	handlerCtx, interrupt := context.WithCancelCause(context.WithoutCancel(ctx))
	defer interrupt(nil)
	woken, stop := e.watchers.watch(anyTask)
	defer stop()
	w.maintenance = startMaintenance(ctx, e, cfg.Poll, cfg.Keep)
	defer w.maintenance.stop()
	defer w.repertoire.forget()
	defer context.AfterFunc(ctx, w.repertoire.drain)()
	w.loop(ctx, handlerCtx, woken)
	w.drain(ctx, interrupt)
	return nil
}

// worker is one call of Work.
type worker struct {
	engine      *Engine
	config      WorkerConfig
	maintenance *maintenance
	repertoire  *repertoire
	stopping    <-chan struct{}
	tasks       sync.WaitGroup
	freed       chan struct{} // receives a value when the worker has ended a lease
	leased      atomic.Int32  // how many tasks it has in hand
	fresh       atomic.Int32  // of these, the ones of which it does not know yet how many threads they need
	waits       atomic.Bool   // it has no room, maybe because of the fresh ones
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
		if more {
			if o := w.offer(); o.room > 0 {
				if more = w.take(ctx, handlerCtx, o); more {
					continue
				}
			}
		}
		w.maintenance.tellIdle(!more && w.leased.Load() == 0)
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

// offer is what the worker can take now.
type offer struct {
	room   int     // how many tasks
	serves []int32 // of which templates
	known  []int32 // the templates that it has looked at
}

// offer returns what the worker can take. If it has no room, freed receives a value once
// it has.
func (w *worker) offer() (o offer) {
	if !w.engine.company.open(w.freed) {
		return o
	}
	o.known, o.serves, o.room = w.repertoire.known(w.freed)
	w.waits.Store(true)
	if o.room = min(o.room-int(w.fresh.Load()), w.leasable()); o.room > 0 {
		w.waits.Store(false)
	}
	return o
}

// leasable is how many more tasks the worker may hold.
func (w *worker) leasable() int { return w.config.MaxTasks - int(w.leased.Load()) }

// gatherTime is how long a worker with little room waits for more.
const gatherTime = 20 * time.Millisecond

// gather waits a moment for a quarter of the worker's tasks to end, so that one
// statement leases many. Meanwhile the others keep it busy.
func (w *worker) gather(ctx context.Context) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for quarter := w.config.MaxTasks / 4; w.leasable() < quarter || w.offer().room < quarter; {
		if w.repertoire.idle() {
			return
		}
		select {
		case <-w.freed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// drain waits for the leased tasks. It interrupts their handlers when the time of the drain
// is over, or when it is told to.
func (w *worker) drain(ctx context.Context, interrupt context.CancelCauseFunc) {
	ended := make(chan struct{})
	go func() {
		w.tasks.Wait()
		close(ended)
	}()
	if cause := context.Cause(ctx); errors.Is(cause, ErrDatabaseGone) {
		interrupt(cause)
		<-ended
		return
	}
	timer := time.NewTimer(max(w.config.Drain, 0))
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	case <-w.config.Interrupt:
	}
	interrupt(errDrained)
	<-ended
}

var errDrained = errors.New("the worker stops, and does not wait for the handler any longer")

// lookAgainFirst is half the first pause before a worker looks again for tasks that others
// had locked. Each pause doubles.
const lookAgainFirst = 10 * time.Millisecond

// take leases tasks and handles each in a goroutine of its own. It reports whether there
// may be more.
func (w *worker) take(ctx, handlerCtx context.Context, o offer) bool {
	hand := &w.engine.inHand
	hand.leasing.RLock()
	defer hand.leasing.RUnlock()
	leases, found, err := w.lease(ctx, o)
	if err == nil && len(found.unknown) > 0 {
		err = w.repertoire.learn(ctx, found.unknown)
	}
	if err != nil {
		if ctx.Err() == nil {
			w.engine.cfg.Logger.Error("tasks could not be leased; trying again", "error", err)
		}
		w.maintenance.wakeIn(w.retryPause())
		if len(leases) == 0 {
			return false
		}
	}
	if w.lookAgain = min(2*w.lookAgain, w.retryPause()); !found.locked {
		w.lookAgain = lookAgainFirst
	} else { // who has locked a task may tell nobody of its end
		w.maintenance.wakeIn(w.lookAgain)
	}
	for _, l := range leases {
		if !hand.add(l.taskID) { // the session was lost and its leases with it, and a worker still runs the task
			w.giveBack(ctx, l, w.engine.now().Add(w.retryPause()), -1)
			continue
		}
		w.leased.Add(1)
		w.fresh.Add(1)
		w.tasks.Go(func() { w.handle(handlerCtx, l) })
	}
	return len(leases) == o.room || err == nil && len(found.unknown) > 0
}

// retryPause is the pause before a task is tried again that could not be handled.
func (w *worker) retryPause() time.Duration { return min(w.config.Poll, retryPause) }

// handle handles a leased task, and then gives it back unless it has ended.
func (w *worker) handle(ctx context.Context, l lease) {
	settled := sync.OnceFunc(func() {
		w.fresh.Add(-1)
		if w.waits.Swap(false) {
			signal(w.freed)
		}
	})
	defer func() {
		settled()
		w.engine.inHand.remove(l.taskID)
		w.leased.Add(-1)
		signal(w.freed)
	}()
	out, revision, err := w.handleGuarded(ctx, l, settled)
	next := out.Next
	if !next.IsZero() && !next.After(w.engine.now()) {
		next = l.due // it keeps its place
	}
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
func (w *worker) handleGuarded(ctx context.Context, l lease, settled func()) (out Outcome, revision int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Newf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.engine.handle(ctx, handleOptions{taskID: l.taskID, stopping: w.stopping, begun: l.begun, settled: settled})
}

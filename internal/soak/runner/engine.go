package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

// engineRuns runs tasks through the whole path: they are submitted, a worker takes them,
// and each outcome is committed.
type engineRuns struct {
	engine      *orchestration.Engine
	clock       *clock
	calls       *calls
	allowFailed bool
	cancelEvery int64

	stop    context.CancelFunc // of the worker
	stopped chan error

	turns      int            // of the connections, see connections
	cancelling sync.WaitGroup // cancels that are under way
	progress   chan struct{}
	newest     int64 // the highest number of a task so far

	mu      sync.Mutex
	ended   int64                              // tasks of this batch
	before  int64                              // the highest number of a task of another batch
	failure *soak.Failure                      // of the first task that has failed
	failed  map[int64]*orchestration.StepError // the latest failure of a step, by its task
	over    map[int64]bool                     // of the tasks that are cancelled, those that have ended
}

// together is how many tasks are submitted in one transaction.
const together = 200

func openEngine(ctx context.Context, spec *soak.Spec, handlers *rubysteps.Handlers, calls *calls) (*engineRuns, error) {
	r := &engineRuns{
		clock: newClock(), calls: calls, allowFailed: spec.AllowFailed, cancelEvery: spec.CancelEvery,
		progress: make(chan struct{}, 1), failed: map[int64]*orchestration.StepError{}, over: map[int64]bool{}, stopped: make(chan error, 1),
	}
	engine, err := orchestration.Open(ctx, spec.Database, orchestration.Config{
		Migrate: true, Handlers: counted{handlers, calls, r.clock}, MaxParallelSteps: spec.Threads, Clock: r.clock, OnEvent: r.onEvent,
	})
	if err != nil {
		return nil, err
	}
	r.engine = engine
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	go func() { r.stopped <- engine.Work(working, orchestration.WorkerConfig{Drain: -1}) }()
	return r, nil
}

func (r *engineRuns) close() error {
	r.stop()
	return errors.CombineErrors(<-r.stopped, r.engine.Close())
}

// run runs the tasks to their ends. tell is called with how many have ended.
func (r *engineRuns) run(ctx context.Context, list []work, tell func(int64)) error {
	r.begin()
	r.clock.running(true)
	defer r.clock.running(false)
	for rest := list; len(rest) > 0; {
		n := min(len(rest), together)
		var some []orchestration.Submission
		for _, w := range rest[:n] {
			some = append(some, orchestration.Submission{Template: w.template, Context: w.context})
		}
		submitted, err := r.engine.SubmitMany(ctx, some)
		if err != nil {
			return err
		}
		for _, s := range submitted {
			r.newest = max(r.newest, s.TaskID)
		}
		rest = rest[n:]
		// No more than two transactions' tasks wait, so that they use little memory.
		if err := r.await(ctx, int64(len(list)-len(rest)-together), tell); err != nil {
			return err
		}
	}
	return r.await(ctx, int64(len(list)), tell)
}

// begin begins a batch. What is still to come of the one before must not count in it: of a
// cancelled task both the call and the worker say that it has ended, at different times.
func (r *engineRuns) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended, r.before = 0, r.newest
	clear(r.over)
	clear(r.failed)
}

// await waits until so many tasks have ended.
func (r *engineRuns) await(ctx context.Context, n int64, tell func(int64)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		ended, err := r.soFar()
		if err != nil {
			return err
		}
		if ended >= n {
			return nil
		}
		select {
		case <-r.progress:
		case <-tick.C:
			tell(ended)
		case err := <-r.stopped:
			r.stopped <- err
			return errors.CombineErrors(errors.New("the worker has ended"), err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// soFar is how many tasks of the batch have ended, and the first failure.
func (r *engineRuns) soFar() (ended int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		err = r.failure
	}
	return r.ended, err
}

func (r *engineRuns) onEvent(e orchestration.Event) {
	switch e.Kind {
	case orchestration.EventStepStarted:
		if r.cancels(e.TaskID) {
			r.cancelling.Go(func() { r.cancel(e.TaskID) })
		}
	case orchestration.EventStepFailed:
		if !r.allowFailed {
			r.mu.Lock()
			r.failed[e.TaskID] = e.Err
			r.mu.Unlock()
		}
	case orchestration.EventTaskEnded:
		r.taskEnded(e)
	}
	r.clock.happened(0)
}

// cancel cancels a task whose step has begun. It comes too late for some, which is fine.
func (r *engineRuns) cancel(task int64) {
	err := r.engine.CancelTask(context.Background(), task, orchestration.By{Actor: "soak", Reason: "each n-th task is cancelled"})
	if err != nil && !errors.IsAny(err, orchestration.ErrRefused, orchestration.ErrTaskNotFound) {
		r.fail(&soak.Failure{Message: fmt.Sprintf("cancelling task %d: %v", task, err)})
	}
	if err == nil { // if the task waited for a retry, nobody else says that it has ended
		r.countEnded(task)
	}
}

func (r *engineRuns) taskEnded(e orchestration.Event) {
	if !r.allowFailed {
		r.mu.Lock()
		cause := r.failed[e.TaskID]
		delete(r.failed, e.TaskID)
		r.mu.Unlock()
		if e.TaskState == orchestration.TaskInError {
			r.fail(failureOf(e.Namespace+"/"+e.TaskName, cause))
		}
	}
	r.countEnded(e.TaskID)
}

// countEnded counts a task of this batch that has ended, once.
func (r *engineRuns) countEnded(task int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if task <= r.before || r.over[task] {
		return
	}
	if r.cancels(task) { // of the others only the worker says it, once
		r.over[task] = true
	}
	r.ended++
	r.proceed()
}

func (r *engineRuns) cancels(task int64) bool { return r.cancelEvery > 0 && task%r.cancelEvery == 0 }

// proceed has await look again.
func (r *engineRuns) proceed() {
	select {
	case r.progress <- struct{}{}:
	default:
	}
}

func (r *engineRuns) fail(f *soak.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = f
	}
	r.proceed()
}

// failureOf says why a task has failed.
func failureOf(task string, cause *orchestration.StepError) *soak.Failure {
	f := &soak.Failure{
		Message: "a task of " + task + " has failed, so there is no verdict",
		Hint:    "Correct it, and try it with `tasker-rb run`. --allow-failed goes on although tasks fail.",
	}
	if cause != nil {
		f.Detail = append(f.Detail, cause.Class+": "+cause.Message)
		f.Detail = append(f.Detail, cause.Backtrace[:min(len(cause.Backtrace), 5)]...)
	}
	return f
}

// empty empties the engine's tables, and leaves those of the handlers alone. The numbers of
// tasks go on.
func (r *engineRuns) empty(ctx context.Context) error {
	r.cancelling.Wait()
	err := r.truncate(ctx)
	for range deadlocks {
		if !isDeadlock(err) { // with the worker, which still notes the end of a step
			break
		}
		err = r.truncate(ctx)
	}
	return errors.Wrap(err, "emptying the engine's tables")
}

// deadlocks is how often the tables are emptied again. PostgreSQL takes a second to notice one.
const deadlocks = 10

func isDeadlock(err error) bool {
	var p *pgconn.PgError
	return errors.As(err, &p) && p.Code == "40P01"
}

func (r *engineRuns) truncate(ctx context.Context) error {
	_, err := r.engine.Pool().Exec(ctx, `do $$ declare list text; begin
		select string_agg(format('%I.%I', n.nspname, c.relname), ', ') into list
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'tasker' and c.relkind in ('r', 'p') and not c.relispartition
			and c.relname not in ('workers', 'schema_version', 'schema_support', 'templates');
		execute 'truncate ' || list;
	end $$`, pgx.QueryExecModeSimpleProtocol)
	return err
}

// counted counts the calls of each handler.
type counted struct {
	*rubysteps.Handlers
	calls *calls
	clock *clock
}

// ResolveHandler implements orchestration.HandlerResolver.
func (c counted) ResolveHandler(ctx context.Context, class string) (orchestration.StepHandler, error) {
	handler, err := c.Handlers.ResolveHandler(ctx, class)
	if err != nil {
		return nil, err
	}
	count := c.calls.of(class)
	return orchestration.StepHandlerFunc(func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		c.clock.happened(1)
		defer c.clock.happened(-1)
		count.Add(1)
		return handler.HandleStep(ctx, x)
	}), nil
}

// calls counts handlers' calls by class.
type calls struct {
	mu      sync.Mutex
	byClass map[string]*atomic.Int64
}

func (c *calls) of(class string) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byClass == nil {
		c.byClass = map[string]*atomic.Int64{}
	}
	if c.byClass[class] == nil {
		c.byClass[class] = new(atomic.Int64)
	}
	return c.byClass[class]
}

// now are the counts so far, and their sum.
func (c *calls) now() (byClass map[string]int64, sum int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	byClass = map[string]int64{}
	for class, n := range c.byClass {
		byClass[class] = n.Load()
		sum += n.Load()
	}
	return byClass, sum
}

package orchestrationtest

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// Env is a database with an engine on it, for one test. Its methods may be called from any
// goroutine, but those with a t only from that test's.
type Env struct {
	t      testing.TB
	url    string
	config orchestration.Config
	pool   *pgxpool.Pool
	clock  *clock
	faults faults

	mu      sync.Mutex
	current *instance
	past    []*instance // dropped; calls of them may still be under way
	closed  sync.Once
}

// New makes an empty database and starts an engine on it. Both end with the test. Of
// the configuration, Handlers is required; Pool, Session, Migrate and Clock must not be set.
// By default waits have no jitter, and warnings go to the test's log.
//
// tables make what the handlers need in the database. They run once for each test binary,
// on a template that is copied, so they must depend on their arguments alone.
func New(t testing.TB, config orchestration.Config, tables ...func(context.Context, *pgx.Conn) error) *Env {
	t.Helper()
	require.NotNil(t, config.Handlers, "orchestrationtest: Config.Handlers is missing")
	require.Nil(t, config.Pool, "orchestrationtest: the database is the test's own; leave Config.Pool out")
	require.Nil(t, config.Session, "orchestrationtest: the database is the test's own; leave Config.Session out")
	require.Nil(t, config.Clock, "orchestrationtest: the clock is the test's own; leave Config.Clock out")
	config.Migrate = false
	template := pgtest.WithTemplate(append([]pgtest.SetUp{orchestration.Migrate}, tables...)...)
	e := &Env{t: t, url: pgtest.URL(t, template), config: config, clock: newClock()}
	pool, err := pgxpool.New(t.Context(), e.url)
	require.NoError(t, err)
	e.pool = pool
	t.Cleanup(pool.Close)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = e.start()
	return e
}

func (e *Env) close() {
	e.closed.Do(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.current.end(context.Canceled)
		for _, i := range append(e.past, e.current) {
			i.close()
		}
		for step, left := range e.faults.left() {
			e.t.Errorf("orchestrationtest: %d faults have met no attempt of step %s", left, step)
		}
	})
}

// instance returns the engine that is alive. After a crash it starts another one.
func (e *Env) instance() *instance {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.current; old.dropped() {
		old.drop() // returns when the crash is over
		e.current = e.start()
		e.past = append(e.past, old)
	}
	return e.current
}

// Engine returns the engine, for what Env does not offer. After a crash it is another one.
// All calls must return before the test ends.
func (e *Env) Engine() *orchestration.Engine {
	e.t.Helper()
	return e.instance().engine
}

// Pool returns a pool on the database, to prepare and to check what handlers do there. No
// fault meets it.
func (e *Env) Pool() *pgxpool.Pool { return e.pool }

// Now returns the time of the clock.
func (e *Env) Now() time.Time { return e.clock.Now() }

// Travel sets the clock ahead.
func (e *Env) Travel(d time.Duration) {
	e.t.Helper()
	require.GreaterOrEqual(e.t, d, time.Duration(0), "orchestrationtest: the clock cannot be set back")
	e.clock.advance(d)
}

// Run submits a task and runs it until it has ended, whatever happens to its engines. The
// context of the task is a value that becomes JSON, or JSON itself as a [json.RawMessage];
// nil is {}. It skips waits. Several tasks may run at the same time; then the clock
// goes on when all of them wait.
func (e *Env) Run(t testing.TB, template *templates.Template, taskContext any) *orchestration.TaskDetail {
	t.Helper()
	var document json.RawMessage
	if taskContext != nil {
		var err error
		document, err = json.Marshal(taskContext)
		require.NoError(t, err, "orchestrationtest: the task's context")
	}
	var task orchestration.Submitted
	err := pgx.BeginFunc(t.Context(), e.pool, func(tx pgx.Tx) (err error) { // which no crash can meet
		task, err = e.Engine().SubmitTx(t.Context(), tx, orchestration.Submission{Template: template, Context: document})
		return err
	})
	require.NoError(t, err)
	return e.Finish(t, task.TaskID)
}

// Finish runs a task that was submitted until it has ended, as Run does.
func (e *Env) Finish(t testing.TB, taskID int64) *orchestration.TaskDetail {
	t.Helper()
	defer e.clock.begin(&e.clock.runs)()
	for e.lostWhileRunning(t, taskID) {
		continue
	}
	detail, err := orchestration.ReadTask(t.Context(), e.pool, taskID)
	require.NoError(t, err)
	return detail
}

// Work works as [orchestration.Engine.Work] does, until ctx ends. After a crash it goes on
// with the next engine. It skips waits. It must return before the test ends.
func (e *Env) Work(ctx context.Context, config orchestration.WorkerConfig) error {
	e.t.Helper()
	for {
		i := e.instance()
		working, end := context.WithCancelCause(i.ctx)
		stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
		err := i.engine.Work(working, config)
		stop()
		end(nil)
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// lostWhileRunning runs a task. It reports whether the engine has crashed meanwhile.
func (e *Env) lostWhileRunning(t testing.TB, taskID int64) bool {
	t.Helper()
	i := e.instance()
	ctx, cancel := context.WithCancelCause(i.ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.Context(), func() { cancel(context.Cause(t.Context())) })()
	_, err := i.engine.Run(ctx, taskID)
	if i.dropped() {
		return true
	}
	require.NoError(t, err)
	return false
}

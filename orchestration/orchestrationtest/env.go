package orchestrationtest

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

// Env is a database with an engine on it, for one test. Its methods may be called from any
// goroutine, but those with a t only from that test's.
type Env struct {
	t   testing.TB
	bed *testbed.Bed
}

// New makes an empty database and starts an engine on it. Both end with the test. Of
// the configuration, Handlers is required; Pool, Session, Migrate and Clock must not be set.
// By default waits have no jitter, and warnings go to the test's log.
//
// tables make what the handlers need in the database. They run once for each test binary,
// on a template that is copied, so they must depend on their arguments alone.
func New(t testing.TB, config orchestration.Config, tables ...func(context.Context, *pgx.Conn) error) *Env {
	t.Helper()
	config.Migrate = false
	e := &Env{t: t}
	logger := config.Logger
	if logger == nil {
		logger = slog.New(testLog{t})
	}
	url := pgtest.URL(t, pgtest.WithTemplate(append([]pgtest.SetUp{orchestration.Migrate}, tables...)...))
	bed, err := testbed.Open(t.Context(), testbed.Config{URL: url, Engine: config, Logger: logger})
	require.NoError(t, err)
	e.bed = bed
	t.Cleanup(e.close)
	return e
}

func (e *Env) close() {
	left, err := e.bed.End(context.Background())
	if err != nil {
		e.t.Errorf("orchestrationtest: %v", err)
	}
	for _, fault := range left.Unmet {
		e.t.Errorf("orchestrationtest: faults of step %s that no attempt has met: %d", fault.Step, fault.Times)
	}
	if err := e.bed.Close(); err != nil {
		e.t.Errorf("orchestrationtest: %v", err)
	}
}

// Engine returns the engine, for what Env does not offer. After a crash it is another one.
// All calls must return before the test ends.
func (e *Env) Engine() *orchestration.Engine {
	e.t.Helper()
	engine, err := e.bed.Engine(context.Background())
	require.NoError(e.t, err)
	return engine
}

// Pool returns a pool on the database, to prepare and to check what handlers do there. No
// fault meets it.
func (e *Env) Pool() *pgxpool.Pool { return e.bed.Pool() }

// Now returns the time of the clock.
func (e *Env) Now() time.Time { return e.bed.Now() }

// Travel sets the clock ahead.
func (e *Env) Travel(d time.Duration) {
	e.t.Helper()
	require.GreaterOrEqual(e.t, d, time.Duration(0), "orchestrationtest: the clock cannot be set back")
	e.bed.Advance(e.bed.Now().Add(d))
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
	run, err := e.bed.Run(t.Context(), orchestration.Submission{Template: template, Context: document}, testbed.RunOptions{})
	require.NoError(t, err)
	return run.Task
}

// Finish runs a task that was submitted until it has ended, as Run does.
func (e *Env) Finish(t testing.TB, taskID int64) *orchestration.TaskDetail {
	t.Helper()
	detail, err := e.bed.Finish(t.Context(), taskID)
	require.NoError(t, err)
	return detail
}

// Work works as [orchestration.Engine.Work] does, until ctx ends. After a crash it goes on
// with the next engine. It skips waits. It must return before the test ends.
func (e *Env) Work(ctx context.Context, config orchestration.WorkerConfig) error {
	return e.bed.Work(ctx, config)
}

// testLog writes the engine's warnings and errors to the test's log.
type testLog struct{ t testing.TB }

func (l testLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (l testLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.t.Log(text)
	return nil
}

func (l testLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l testLog) WithGroup(string) slog.Handler      { return l }

package orchestrationtest

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// instance is an engine behind a network of its own, which a crash cuts.
type instance struct {
	env    *Env
	proxy  *pgproxy.Proxy
	name   string // application_name of its connections
	engine *orchestration.Engine
	ctx    context.Context //nolint:containedctx // it ends with the instance
	end    context.CancelCauseFunc
	crash  sync.Once

	mu    sync.Mutex
	lost  map[int]bool     // backends whose commit loses its answer
	after map[attempt]bool // attempts whose recorded outcome is followed by a crash
	gone  bool             // the instance is dropped
}

// attempt names an attempt.
type attempt struct {
	task   int64
	step   string
	number int
}

// start starts an engine. The caller must hold env.mu.
func (e *Env) start() *instance {
	e.t.Helper()
	i := &instance{env: e, proxy: pgproxy.Start(e.t, e.url), lost: map[int]bool{}, after: map[attempt]bool{}}
	i.proxy.SwallowCommitAnswers(math.MaxInt, pgproxy.ThenCut, func(c pgproxy.Connection) bool { return i.losesAnswer(c.PID) })
	config, err := pgxpool.ParseConfig(i.proxy.URL(e.url))
	require.NoError(e.t, err)
	orchestration.ConfigurePool(config)
	config.MaxConns = 16
	i.name = config.ConnConfig.RuntimeParams["application_name"]
	cfg := e.config
	cfg.Handlers = handlers{i, e.config.Handlers}
	cfg.Clock = e.clock
	cfg.OnEvent = i.onEvent
	if cfg.Logger == nil {
		cfg.Logger = slog.New(testLog{i})
	}
	if cfg.Random == nil {
		cfg.Random = func() float64 { return 0.5 } // the middle of the jitter: none
	}
	cfg.Pool, err = pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(e.t, err)
	if i.engine, err = orchestration.New(context.WithoutCancel(e.t.Context()), cfg); err != nil {
		cfg.Pool.Close()
		require.NoError(e.t, err)
	}
	e.t.Cleanup(e.close) // before the proxy closes
	i.ctx, i.end = context.WithCancelCause(context.WithoutCancel(e.t.Context()))
	return i
}

// close closes the engine. Its calls have returned.
func (i *instance) close() {
	_ = i.engine.Close() // it returns no error
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		i.engine.Pool().Close()
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		i.env.t.Errorf("orchestrationtest: %d connections are still in use: a handler has not returned", i.engine.Pool().Stat().AcquiredConns())
	}
}

// patience is how long the end of a test waits for handlers.
const patience = 10 * time.Second

// errCrash is the cause with which the contexts of a dropped engine end.
var errCrash = errors.Mark(errors.New("the engine has crashed, because the test wants it"), orchestration.ErrDatabaseGone)

// drop abandons the engine. When it returns, nothing that the engine does can reach the
// database, and the server has rolled back what was open.
func (i *instance) drop() {
	i.crash.Do(func() {
		i.mu.Lock()
		i.gone = true
		i.mu.Unlock()
		i.end(errCrash)
		i.proxy.Refuse()
		i.proxy.Cut()
		i.env.endBackends("application_name = $1", i.name)
	})
}

func (i *instance) dropped() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.gone
}

// endBackends ends the backends that the condition chooses, and waits until they are gone.
func (e *Env) endBackends(condition string, arg any) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for left := 1; left > 0; {
		err := e.pool.QueryRow(ctx, `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and `+condition, arg).Scan(&left)
		if err != nil {
			e.t.Errorf("orchestrationtest: ending backends: %v", err)
			return
		}
	}
}

func (i *instance) losesAnswer(pid int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.lost[pid]
}

// onEvent drops the engine after the outcome of an attempt, if that was asked for.
func (i *instance) onEvent(event orchestration.Event) {
	if i.env.config.OnEvent != nil {
		i.env.config.OnEvent(event)
	}
	switch event.Kind {
	case orchestration.EventStepCompleted, orchestration.EventStepRetrying, orchestration.EventStepFailed:
	default:
		return
	}
	i.mu.Lock()
	crash := i.after[attempt{event.TaskID, event.Step, event.Attempt}]
	i.mu.Unlock()
	if crash {
		i.drop()
	}
}

// testLog writes the engine's warnings and errors to the test's log. A dropped engine
// complains for good reasons.
type testLog struct{ i *instance }

func (l testLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && !l.i.dropped()
}

func (l testLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.i.env.t.Log(text)
	return nil
}

func (l testLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l testLog) WithGroup(string) slog.Handler      { return l }

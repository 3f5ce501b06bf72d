package testbed

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// instance is an engine with a network of its own, which a crash cuts.
type instance struct {
	bed    *Bed
	gate   *gate
	name   string // application_name of its connections
	engine *orchestration.Engine
	ctx    context.Context //nolint:containedctx // it ends with the instance
	end    context.CancelCauseFunc
	crash  sync.Once
	closed sync.Once

	mu       sync.Mutex
	attempts map[*orchestration.StepExecution]*attempt // that run
	after    map[attemptKey]*attempt                   // whose recorded outcome is followed by a crash
	gone     bool                                      // the instance is dropped
	users    int                                       // calls of its engine
	lent     bool                                      // others may call its engine, too
}

// attemptKey names an attempt.
type attemptKey struct {
	task   int64
	step   string
	number int
}

func keyOf(x *orchestration.StepExecution) attemptKey {
	return attemptKey{x.TaskID, x.StepName, x.Attempt}
}

// poolSize is how many connections an engine may have, and how many the tests.
const poolSize = 16

// start starts an engine.
func (b *Bed) start(ctx context.Context, s seat) (*instance, error) {
	i := &instance{bed: b, gate: newGate(), attempts: map[*orchestration.StepExecution]*attempt{}, after: map[attemptKey]*attempt{}}
	config, err := b.poolConfig()
	if err != nil {
		return nil, err
	}
	i.name = config.ConnConfig.RuntimeParams["application_name"]
	i.gate.guard(config)
	cfg := b.config.Engine
	cfg.Handlers = resolver{i, b.config.Engine.Handlers}
	cfg.Clock, cfg.OnEvent, cfg.AroundStatement = b.clock, i.onEvent, i.aroundStatement
	cfg.Logger = slog.New(living{i, b.logger.Handler()})
	if s.serial {
		cfg.MaxParallelSteps = 1
	}
	ctx = context.WithoutCancel(ctx)
	if cfg.Pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, errors.Wrap(err, "testbed: opening the database")
	}
	if i.engine, err = orchestration.New(ctx, cfg); err != nil {
		cfg.Pool.Close()
		return nil, errors.Wrap(err, "testbed: starting an engine")
	}
	i.ctx, i.end = context.WithCancelCause(ctx)
	return i, nil
}

// errCrash is the cause with which the contexts of a dropped engine end.
var errCrash = errors.Mark(errors.New("the engine has crashed, because the test wants it"), orchestration.ErrDatabaseGone)

// patience is how long the end of an engine waits for its handlers and its connections.
const patience = 10 * time.Second

// close closes the engine, whose calls have returned.
func (i *instance) close() (err error) {
	i.closed.Do(func() {
		i.end(context.Canceled)
		_ = i.engine.Close() // the pool is not its own, so there is no error
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			i.engine.Pool().Close()
		}()
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-closed:
		case <-late.C:
			err = errors.Newf("testbed: %d connections are still in use: a handler has not returned", i.engine.Pool().Stat().AcquiredConns())
		}
	})
	return err
}

// use notes a call of the engine. After the last one, a dropped engine is closed.
func (i *instance) use() (end func()) {
	i.mu.Lock()
	i.users++
	i.mu.Unlock()
	return func() {
		i.mu.Lock()
		i.users--
		last := i.gone && i.users == 0 && !i.lent
		i.mu.Unlock()
		if last {
			i.bed.remove(i)
			if err := i.close(); err != nil {
				i.bed.logger.Warn("a dropped engine could not be closed", "error", err)
			}
		}
	}
}

// drop abandons the engine. When it returns, nothing that the engine does can reach the
// database, and the server has rolled back what was open.
func (i *instance) drop() {
	i.crash.Do(func() {
		i.mu.Lock()
		i.gone = true
		i.mu.Unlock()
		i.bed.ExpectCrash()
		i.gate.cut() // first: an engine that ends would give its steps back
		i.end(errCrash)
		i.bed.endBackends("application_name = $1", i.name)
	})
}

func (i *instance) dropped() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.gone
}

// endBackends ends the backends that the condition chooses, and waits until they are gone.
func (b *Bed) endBackends(condition string, arg any) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for left := 1; left > 0; {
		err := b.own.QueryRow(ctx, `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and `+condition, arg).Scan(&left)
		if err != nil {
			b.logger.Error("testbed: the backends of a dropped engine could not be ended", "error", err)
			return
		}
	}
}

// onEvent passes an event on. It drops the engine after the outcome of an attempt, if that
// was asked for.
func (i *instance) onEvent(event orchestration.Event) {
	if i.bed.config.Engine.OnEvent != nil {
		i.bed.config.Engine.OnEvent(event)
	}
	run := i.bed.runOf(event.TaskID)
	if run != nil {
		run.addEvent(event)
	}
	switch event.Kind {
	case orchestration.EventStepCompleted, orchestration.EventStepRetrying, orchestration.EventStepFailed:
	default:
		return
	}
	key := attemptKey{event.TaskID, event.Step, event.Attempt}
	i.mu.Lock()
	a := i.after[key]
	delete(i.after, key)
	i.mu.Unlock()
	if a != nil {
		a.crash("after the commit")
	}
}

// living is a log of an engine until it is dropped. After that it complains for good
// reasons. What engines say about one that was dropped is no news.
type living struct {
	i *instance
	slog.Handler
}

// news about an engine that is dead, as package orchestration words it.
const (
	engineIsDead = "an engine is dead; its steps are taken over"
	tookStepOver = "took a step over"
)

// Handle implements slog.Handler.
func (l living) Handle(ctx context.Context, r slog.Record) error {
	if l.i.bed.crashed.Load() && (r.Message == engineIsDead || strings.HasPrefix(r.Message, tookStepOver)) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// Enabled implements slog.Handler.
func (l living) Enabled(ctx context.Context, level slog.Level) bool {
	return !l.i.dropped() && l.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (l living) WithAttrs(attrs []slog.Attr) slog.Handler {
	return living{l.i, l.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (l living) WithGroup(name string) slog.Handler { return living{l.i, l.Handler.WithGroup(name)} }

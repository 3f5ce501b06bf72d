package orchestration

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config configures an [Engine]. Pool and Handlers are required.
type Config struct {
	// Pool is the database. The engine uses one connection for as long as it
	// lives, one for each step whose handler asked for its transaction, and
	// others for a moment. Its tables must be current, see [Migrate].
	Pool *pgxpool.Pool

	// Handlers finds the handlers that templates name.
	Handlers HandlerResolver

	// MaxParallelSteps bounds how many steps of one task run at once. Default 8.
	MaxParallelSteps int

	// Grace is how long a handler whose context has ended may take to return.
	// Then the engine goes on without it, and drops what it returns. Default 10 s.
	Grace time.Duration

	// Logger receives what goes wrong behind the scenes. Default slog.Default().
	Logger *slog.Logger

	// OnEvent is told what happens, in order for each task, from the goroutine
	// that drives the task: it should return quickly. Optional.
	OnEvent func(Event)

	// Now is the clock by which retries are due. Default: the database's clock.
	Now func() time.Time

	// Random returns numbers in [0, 1) for the jitter. Default math/rand/v2.
	Random func() float64
}

// Engine runs tasks. All methods may be called from any goroutine.
type Engine struct {
	cfg           Config
	pool          *pgxpool.Pool
	session       *session
	watchers      *watchers
	clock         *databaseClock
	group         *groupCommit
	loads         *groupLoad
	recordTimeout time.Duration

	closed    sync.Once
	templates sync.Map // digest -> *templates.Template
}

// New starts an engine: it takes a number and a session of its own in the
// database. It fails when the tables are not of this program's version.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("orchestration: Config.Pool is missing")
	case cfg.Handlers == nil:
		return nil, errors.New("orchestration: Config.Handlers is missing")
	case cfg.MaxParallelSteps < 0:
		return nil, errors.Newf("orchestration: Config.MaxParallelSteps is %d", cfg.MaxParallelSteps)
	}
	if cfg.MaxParallelSteps == 0 {
		cfg.MaxParallelSteps = 8
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	clock := &databaseClock{}
	if cfg.Now == nil {
		cfg.Now = clock.now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	e := &Engine{cfg: cfg, pool: cfg.Pool, watchers: newWatchers(), clock: clock, recordTimeout: recordTimeout}
	var err error
	if e.session, err = openSession(ctx, cfg.Pool, cfg.Logger, clock, e.watchers.notified, e.watchers.wakeAll); err != nil {
		return nil, err
	}
	e.group, e.loads = newGroupCommit(cfg.Pool), newGroupLoad(cfg.Pool)
	return e, nil
}

// Close ends the engine's session, and with it its claims. All other calls must
// have returned. A second Close does nothing.
func (e *Engine) Close() error {
	e.closed.Do(func() {
		e.group.close()
		e.loads.close()
		e.session.close()
	})
	return nil
}

// now is the engine's clock, to the microsecond as PostgreSQL keeps it.
func (e *Engine) now() time.Time { return e.cfg.Now().UTC().Truncate(time.Microsecond) }

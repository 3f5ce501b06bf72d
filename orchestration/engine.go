package orchestration

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config configures an [Engine]. Handlers is required. [New] also needs Pool; [Open] opens
// it.
type Config struct {
	// Pool is the database. The engine uses one connection while it lives, one for
	// each step whose handler uses its transaction, and a few for short statements. A
	// worker's maintenance takes one more for a moment every Poll, also while the
	// worker leases tasks. Handlers that read large results use one or two. If there is
	// none for them, the engine opens one beside the pool. The tables must be current, see [Migrate].
	Pool *pgxpool.Pool

	// Session is the direct way to the server for the engine's own session. Set it if Pool
	// goes through a pooler that changes the backend with each transaction. Default: a
	// connection of Pool.
	Session *pgx.ConnConfig

	// Version is the version of the program, for [Engine.Workers]. Default: the one that Go
	// has recorded of its main module.
	Version string

	// Migrate brings the tables to this program's version before the engine starts, as
	// [Migrate] does. Default: tables of another version are an error.
	Migrate bool

	// Handlers finds the handlers by the class names in templates.
	Handlers HandlerResolver

	// MaxParallelSteps is how many steps of one task may run at the same time.
	// Default 8.
	MaxParallelSteps int

	// MaxDocumentBytes bounds the JSON of a task's context and of a step's results.
	// A larger context is refused; larger results fail the step permanently.
	// Default 64 MiB.
	MaxDocumentBytes int

	// MaxResultMemory bounds the bytes of results in memory. It counts the results that
	// running handlers read, and those that they have returned and that are not in the
	// database yet. The engine claims a step only when there is room for what it is
	// expected to need. The bound never makes a step fail.
	// A step alone always runs. Default 256 MiB.
	MaxResultMemory int

	// NoTimeouts lets each step take any time, for a person with a debugger. Its
	// timeout_seconds do not count. The transaction of a handler in Ruby may be idle,
	// whatever the server's settings say.
	NoTimeouts bool

	// HoldAfterRun is how long workers leave a task alone that was held and whose Run has been
	// given up. It is for a program that goes on with the task in its next process. Default
	// 0: they may take it at once.
	HoldAfterRun time.Duration

	// Grace is how long a handler may take to return after its context has ended. After
	// that the engine abandons it and drops its results. Default 10 s.
	Grace time.Duration

	// Logger receives problems that no call can return. Default slog.Default().
	Logger *slog.Logger

	// OnEvent receives the events of each task, in order. The goroutine that runs the
	// task calls it, so it should return quickly. Optional.
	OnEvent func(Event)

	// OnStatement is called after each statement of a handler in Ruby, or of any other that
	// uses [StepExecution.SQL], from the handler's goroutine. A handler's statements through
	// [StepExecution.Tx] are traced by the Tracer of pgx. Optional.
	OnStatement func(x *StepExecution, s TracedStatement)

	// AroundStatement is called before each statement of a handler, through
	// [StepExecution.SQL] or [StepExecution.Tx], from the goroutine that runs it. With an
	// error the statement is not sent, and fails as if the connection were lost. after, if
	// it is not nil, is called when the statement has been run; the rows of a query have
	// been read then. Package testbed chooses statements with it. Optional.
	AroundStatement func(x *StepExecution, sql string) (after func(TracedStatement), err error)

	// Clock says when retries, permits and tasks with a RunAt fall due. Tests give another
	// one, as package orchestrationtest does. Default: the database's clock.
	Clock Clock

	// Now is the time of the Clock, if that is not given. Waits for a moment take as long as
	// they do by this machine's clock.
	Now func() time.Time

	// Random returns numbers in [0, 1) for the jitter of waits. Default math/rand/v2.
	Random func() float64
}

// maxJSON is the largest value that PostgreSQL stores.
const maxJSON = 1 << 30

// Engine runs tasks. All methods may be called from any goroutine.
type Engine struct {
	cfg         Config
	pool        *pgxpool.Pool
	session     *session
	watchers    *watchers
	clock       *databaseClock
	own         *ownBatches
	waker       *waker
	group       *groupCommit
	loads       *groupLoad
	memory      *resultMemory
	reads       *resultReads
	garbage     garbage
	inHand      inHand
	holds       holds
	company     company
	handlers    atomic.Int32 // that run now
	unended     unended
	stopTimeout time.Duration

	closed    sync.Once
	closeErr  error
	ownsPool  bool
	templates sync.Map // digest -> *templates.Template
}

// New starts an engine. The engine opens a session in the database and takes a number.
// New fails if the tables do not have this program's version.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("orchestration: Config.Pool is missing")
	case cfg.Handlers == nil:
		return nil, errors.New("orchestration: Config.Handlers is missing")
	case cfg.MaxParallelSteps < 0:
		return nil, errors.Newf("orchestration: Config.MaxParallelSteps is %d", cfg.MaxParallelSteps)
	case cfg.MaxDocumentBytes < 0 || cfg.MaxDocumentBytes > maxJSON:
		return nil, errors.Newf("orchestration: Config.MaxDocumentBytes is %d; it must be between 1 and %d", cfg.MaxDocumentBytes, maxJSON)
	case cfg.MaxResultMemory < 0:
		return nil, errors.Newf("orchestration: Config.MaxResultMemory is %d", cfg.MaxResultMemory)
	}
	if cfg.MaxDocumentBytes == 0 {
		cfg.MaxDocumentBytes = 64 << 20
	}
	if cfg.MaxResultMemory == 0 {
		cfg.MaxResultMemory = 256 << 20
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
	switch {
	case cfg.Clock != nil:
	case cfg.Now != nil:
		cfg.Clock = nowClock(cfg.Now)
	default:
		cfg.Clock = clock
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	e := &Engine{cfg: cfg, pool: cfg.Pool, own: &ownBatches{pool: cfg.Pool}, watchers: newWatchers(), clock: clock, stopTimeout: stopTimeout,
		company: company{patience: alonePatience, pause: alonePause}, memory: newResultMemory(cfg.MaxResultMemory), inHand: inHand{tasks: map[int64]bool{}}}
	var err error
	if cfg.Migrate {
		err = cfg.Pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return Migrate(ctx, c.Conn()) })
		if err != nil {
			return nil, err
		}
	}
	var connections *poolConnections
	if c, ok := connectionsByName.Load(cfg.Pool.Config().ConnConfig.RuntimeParams["application_name"]); ok {
		connections = c.(*poolConnections)
	}
	e.session, err = openSession(ctx, &session{
		opener: sessionOpener{own: e.own, connections: connections, direct: cfg.Session, clock: clock, version: cmp.Or(cfg.Version, programVersion())},
		logger: cfg.Logger, notified: e.watchers.notified, others: e.endDead, busy: e.busy, lost: e.sessionLost, opened: e.watchers.wakeAll,
	})
	if err != nil {
		return nil, err
	}
	e.waker = startWaker(e.own, cfg.Logger)
	e.group, e.loads, e.reads = newGroupCommit(e.own), newGroupLoad(e.own), newResultReads(e.own, &e.garbage)
	return e, nil
}

// Close ends the engine's session, and with it the engine's claims. It also closes a pool
// that [Open] has opened. All other calls must have returned. A second Close does nothing.
func (e *Engine) Close() error {
	e.closed.Do(func() {
		e.waker.close()
		e.group.close()
		e.loads.close()
		e.reads.close()
		e.session.close()
		if e.ownsPool {
			e.closeErr = closePool(e.pool, e.stopTimeout)
		}
	})
	return e.closeErr
}

// sessionLost drops what may be ahead of the database, and the connections that may be
// dead like the session's.
func (e *Engine) sessionLost() {
	e.templates.Clear()
	e.memory.forget()
	e.pool.Reset()
}

// Forget drops what the engine remembers of the database's rows: templates, and the numbers
// of steps. Tests call it after they have put the database back to an earlier state beneath
// the engine. No call may run meanwhile.
func (e *Engine) Forget() {
	e.templates.Clear()
	e.memory.forget()
	e.company.forgetAll()
}

// ErrNotReady says that the engine has no session, and so takes no tasks.
var ErrNotReady = errors.New("the engine has no session in the database, and takes no tasks")

// Ready returns nil while the engine can take tasks. Otherwise it returns [ErrNotReady]
// with the reason.
func (e *Engine) Ready() error {
	number, problem := e.session.current()
	switch {
	case number != 0:
		return nil
	case problem == nil:
		return ErrNotReady
	}
	return errors.Wrapf(ErrNotReady, "%v", problem)
}

// busy is how many handlers the engine runs now.
func (e *Engine) busy() int { return int(e.handlers.Load()) }

// now is the time by the engine's clock. It has microseconds, as in PostgreSQL.
func (e *Engine) now() time.Time { return e.cfg.Clock.Now().UTC().Truncate(time.Microsecond) }

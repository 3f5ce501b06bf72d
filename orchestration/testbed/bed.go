package testbed

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Config configures [Open].
type Config struct {
	// URL is that of the database, which has Tasker's tables already. The tests have it for
	// themselves: every row of it may be deleted.
	URL string

	// Engine configures the engines. Handlers is required; Pool, Session, Migrate, Clock and
	// AroundStatement must not be set. By default waits have no jitter.
	Engine orchestration.Config

	// SQLClock has now() in SQL follow the clock, where a handler writes it without a schema.
	SQLClock bool

	// Logger receives the problems of the engines, but not those of one that was dropped.
	// Default: Engine.Logger, or slog.Default().
	Logger *slog.Logger
}

// Bed is a database with an engine on it, for many tests. Its methods may be called from any
// goroutine, but there is one test at a time.
type Bed struct {
	config Config
	logger *slog.Logger
	own    *pgxpool.Pool // of the bed itself
	pool   *pgxpool.Pool // of the tests
	clock  *clock
	sql    *sqlClock
	faults faults

	seating sync.Mutex // held while engines start
	seats   map[seat]*instance
	all     []*instance

	mu       sync.Mutex
	runs     map[int64]*run // under way, by task
	warnings []string       // of the present test

	crashed  atomic.Bool // an engine has died, as a test wanted
	baseline baseline
	closed   sync.Once
	closeErr error
}

// ownConnections is how many connections the bed itself uses.
const ownConnections = 4

// Open starts an engine on a database.
func Open(ctx context.Context, config Config) (*Bed, error) {
	e := &config.Engine
	switch {
	case e.Handlers == nil:
		return nil, errors.New("testbed: Config.Engine.Handlers is missing")
	case e.Pool != nil || e.Session != nil:
		return nil, errors.New("testbed: the engines open the database themselves; leave Config.Engine.Pool and Session out")
	case e.Clock != nil || e.Now != nil:
		return nil, errors.New("testbed: the clock is the testbed's own; leave Config.Engine.Clock and Now out")
	case e.Migrate || e.AroundStatement != nil:
		return nil, errors.New("testbed: leave Config.Engine.Migrate and AroundStatement out")
	}
	if e.Random == nil {
		e.Random = func() float64 { return 0.5 } // the middle of the jitter: none
	}
	b := &Bed{config: config, logger: config.Logger, seats: map[seat]*instance{}, runs: map[int64]*run{}}
	if b.logger == nil {
		if b.logger = e.Logger; b.logger == nil {
			b.logger = slog.Default()
		}
	}
	if err := b.open(context.WithoutCancel(ctx)); err != nil {
		b.closePools()
		return nil, err
	}
	if _, err := b.instance(ctx, seat{}); err != nil {
		b.closePools()
		return nil, err
	}
	return b, nil
}

// open opens the pools, and makes the clocks.
func (b *Bed) open(ctx context.Context) error {
	own, err := pgxpool.ParseConfig(b.config.URL)
	if err != nil { // the driver's own text may show the password
		return errBadURL
	}
	own.MaxConns = ownConnections
	if b.own, err = pgxpool.NewWithConfig(ctx, own); err != nil {
		return errors.Wrap(err, "testbed: opening the database")
	}
	if b.sql, err = openSQLClock(ctx, b.own, b.logger, b.config.SQLClock); err != nil {
		return err
	}
	b.clock = newClock(b.sql.follow())
	config, err := b.poolConfig()
	if err != nil {
		return err
	}
	b.pool, err = pgxpool.NewWithConfig(ctx, config)
	return errors.Wrap(err, "testbed: opening the database")
}

// poolConfig is that of a pool for handlers and tests.
func (b *Bed) poolConfig() (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(b.config.URL)
	if err != nil {
		return nil, errBadURL
	}
	orchestration.ConfigurePool(config)
	config.MaxConns = poolSize
	b.sql.configure(config)
	return config, nil
}

var errBadURL = errors.New("testbed: the address of the database is not a PostgreSQL URL")

func (b *Bed) closePools() {
	for _, pool := range []*pgxpool.Pool{b.pool, b.own} {
		if pool != nil {
			pool.Close()
		}
	}
}

// Close closes the engines. All other calls must have returned. It puts the database back,
// if a test has begun. A second Close does nothing.
func (b *Bed) Close() error {
	b.closed.Do(func() {
		b.seating.Lock()
		all := b.all
		b.seats, b.all = map[seat]*instance{}, nil
		b.seating.Unlock()
		for _, i := range all {
			b.closeErr = errors.CombineErrors(b.closeErr, i.close())
		}
		b.closeErr = errors.CombineErrors(b.closeErr, b.leaveDatabase())
		b.closePools()
	})
	return b.closeErr
}

// Pool returns a pool on the database, for the tests' own statements. No fault meets it. With
// Config.SQLClock, now() follows the clock there, too.
func (b *Bed) Pool() *pgxpool.Pool { return b.pool }

// ExpectCrash says that a process which works on the tasks is going to die, because the test
// wants it. The engines do not warn of such deaths from now on.
func (b *Bed) ExpectCrash() { b.crashed.Store(true) }

// warn adds a warning to those of the present test, once.
func (b *Bed) warn(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.warnings {
		if w == text {
			return
		}
	}
	b.warnings = append(b.warnings, text)
}

// Leftovers is what a test has left.
type Leftovers struct {
	// Unmet are the faults that have met no attempt. Their Times say how often they did not.
	Unmet []Fault
	// Warnings are sentences about SQL that reads another clock than the bed's, and about
	// changes of the schema.
	Warnings []string
}

// Begin begins a test. The database is as it was before the first one: its rows and its
// sequences, without tasks. There is no fault, and it is at on the clock. The first Begin
// takes the database as it is for what it is to be.
func (b *Bed) Begin(ctx context.Context, at time.Time) error {
	b.faults.clear()
	if err := b.putBack(ctx, firstSave); err != nil {
		return err
	}
	b.clock.set(exact(at))
	return nil
}

// End ends a test, and says what it has left. The next Begin does not need it.
func (b *Bed) End(ctx context.Context) (Leftovers, error) {
	l := Leftovers{Unmet: b.faults.left()}
	b.faults.clear()
	err := b.checkSchema(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	l.Warnings, b.warnings = b.warnings, nil
	return l, err
}

// Saved is the state of the database at one moment of a test.
type Saved struct {
	number int
	at     time.Time
}

// Save remembers all rows and sequences of the database, with the tasks, and the time. No
// task may run. What was saved lasts until the next Begin.
func (b *Bed) Save(ctx context.Context) (*Saved, error) {
	number, err := b.save(ctx)
	if err != nil {
		return nil, err
	}
	return &Saved{number: number, at: b.Now()}, nil
}

// Restore puts the database and the clock back to what they were at Save. No task may run.
func (b *Bed) Restore(ctx context.Context, s *Saved) error {
	if err := b.putBack(ctx, s.number); err != nil {
		return err
	}
	b.clock.set(s.at)
	return nil
}

package orchestration

import (
	"context"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// openPoolSize is how many connections the pool of [Open] may have, unless the URL says
// pool_max_conns. More than 16 have never measured better.
const openPoolSize = 16

// Open opens a pool on the database of a PostgreSQL URL, prepares it with [ConfigurePool],
// and starts an engine on it. [Engine.Close] closes the pool too. Open does not create
// the tables unless Config.Migrate says so.
//
//	engine, err := orchestration.Open(ctx, os.Getenv("DATABASE_URL"), orchestration.Config{
//		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Greet": orchestration.Handle(greet)}},
//		Migrate:  true,
//	})
//
// For a pool of your own, call [ConfigurePool] and [New].
func Open(ctx context.Context, url string, cfg Config) (*Engine, error) {
	if cfg.Pool != nil {
		return nil, errors.WithHint(errors.New("orchestration: Open opens a pool of its own, and Config.Pool is set"),
			"Call New for a pool of yours.")
	}
	if url == "" { // the driver would take the address from elsewhere
		return nil, errors.WithHint(errors.New("orchestration: the address of the database is empty"),
			"Set the variable that it comes from, such as DATABASE_URL.")
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, addressError()
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = openPoolSize
	}
	ConfigurePool(config)
	if cfg.Pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, errors.Wrap(err, "orchestration: opening the database")
	}
	engine, err := New(ctx, cfg)
	if err != nil {
		return nil, errors.CombineErrors(explainOpening(err), closePool(cfg.Pool, stopTimeout))
	}
	engine.ownsPool = true
	return engine, nil
}

// addressError is the error for a URL that cannot be read. The driver's own text may show
// the password.
func addressError() error {
	err := errors.New("orchestration: the address of the database is not a PostgreSQL URL")
	return errors.WithHint(err, "It looks like postgres://user:password@host:5432/database. In a password, @ is written %40, / is %2F, # is %23 and % is %25.")
}

// explainOpening adds a hint to what an engine that does not start says.
func explainOpening(err error) error {
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, ErrSchemaOlder):
		return errors.WithHint(err, "Or let Config.Migrate do it.")
	case errors.As(err, &connect):
		return errors.WithHint(errors.Wrap(err, "orchestration: the database cannot be reached"),
			"Check the address, and that the server runs and admits the user.")
	}
	return err
}

// Pool returns the engine's pool, for a program's own statements.
func (e *Engine) Pool() *pgxpool.Pool { return e.pool }

// closePool closes a pool. An abandoned handler may hold a connection for ever, so it does
// not wait longer than patience.
func closePool(pool *pgxpool.Pool, patience time.Duration) error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-closed:
		return nil
	case <-timer.C:
		return errors.Newf("%d connections are still in use, by handlers that have not returned", pool.Stat().AcquiredConns())
	}
}

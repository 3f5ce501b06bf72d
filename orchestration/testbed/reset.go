package testbed

import (
	"context"
	_ "embed"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed reset.sql
var resetSQL string

// firstSave is the number of what the first Begin has found.
const firstSave = 0

// baseline is what the database is to be when a test begins.
type baseline struct {
	mu    sync.Mutex
	pool  *pgxpool.Pool // of one connection; nil before the first Begin
	saves int           // since the last Begin
}

// take remembers the database as it is, once.
func (b *Bed) take(ctx context.Context) error {
	if b.baseline.pool != nil {
		return nil
	}
	pool, err := openReset(ctx, b.config.URL)
	if err != nil {
		return err
	}
	var alone bool
	if err = pool.QueryRow(ctx, "select pg_try_advisory_lock("+lockKey+")").Scan(&alone); err != nil {
		err = errors.Wrap(err, "testbed: looking for other tests on the database")
	} else if !alone {
		err = errors.WithHint(errors.New("testbed: another process runs tests on this database"), "Wait for its end, or give one of them another database.")
	} else if _, err = pool.Exec(ctx, resetSQL+schemaSQL); err != nil {
		err = errors.WithHint(errors.Wrap(err, "testbed: preparing the database"),
			"The user of the test database must be allowed to create a schema in it.")
	} else if _, err = pool.Exec(ctx, "select tasker_testbed.take()"); err != nil {
		err = errors.Wrap(err, "testbed: remembering the database")
		if isDenied(err) {
			err = errors.WithHint(err, "The user of the test database must be allowed to read and write all tables, and all their rows: make it their owner, and ALTER ROLE … BYPASSRLS.")
		}
	}
	if err != nil {
		pool.Close()
		return err
	}
	b.baseline.pool = pool
	return nil
}

// lockKey is the advisory lock of the process that runs tests on a database.
const lockKey = "hashtextextended('tasker_testbed', 0)"

// replicaRole is the setting with which a session runs no triggers and checks no foreign
// keys. It takes a superuser, or a grant. It is set once for the session: to change it has
// the server plan all statements anew.
const replicaRole = "session_replication_role"

// openReset opens the connection that puts the database back.
func openReset(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errBadURL
	}
	config.MaxConns = 1
	config.ConnConfig.RuntimeParams[replicaRole] = "replica"
	pool, err := openPool(ctx, config)
	if isDenied(err) {
		delete(config.ConnConfig.RuntimeParams, replicaRole)
		pool, err = openPool(ctx, config)
	}
	return pool, errors.Wrap(err, "testbed: opening the database")
}

const insufficientPrivilege = "42501"

func isDenied(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == insufficientPrivilege
}

// openPool opens a pool, and its first connection.
func openPool(ctx context.Context, config *pgxpool.Config) (*pgxpool.Pool, error) {
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err == nil {
		if err = pool.Ping(ctx); err != nil {
			pool.Close()
		}
	}
	return pool, err
}

// putBack puts the database back to what it was at a save.
func (b *Bed) putBack(ctx context.Context, save int) error {
	b.baseline.mu.Lock()
	defer b.baseline.mu.Unlock()
	if err := b.take(ctx); err != nil {
		return err
	}
	for done := false; !done; {
		if err := b.baseline.pool.QueryRow(ctx, "select tasker_testbed.restore($1)", save).Scan(&done); err != nil {
			return b.explainLocks(ctx, errors.Wrap(err, "testbed: putting the database back"))
		}
		if !done {
			if err := b.mendSchema(ctx); err != nil {
				return err
			}
		}
	}
	b.forget()
	if save != firstSave || b.baseline.saves == 0 {
		return nil
	}
	b.baseline.saves = 0
	_, err := b.baseline.pool.Exec(ctx, forgetSavesSQL)
	return errors.Wrap(err, "testbed: forgetting what was saved")
}

// forgetSavesSQL forgets all saves but the first.
const forgetSavesSQL = `
	with s as (delete from tasker_testbed.states where save > 0),
	q as (delete from tasker_testbed.sequences where save > 0),
	o as (delete from tasker_testbed.objects where save > 0)
	delete from tasker_testbed.rows where save > 0`

// forget has the engines forget what they know about rows.
func (b *Bed) forget() {
	b.seating.Lock()
	defer b.seating.Unlock()
	for _, i := range b.seats {
		i.engine.Forget()
	}
}

// save remembers the database as it is now.
func (b *Bed) save(ctx context.Context) (number int, err error) {
	b.baseline.mu.Lock()
	defer b.baseline.mu.Unlock()
	if err := b.take(ctx); err != nil {
		return 0, err
	}
	b.baseline.saves++
	_, err = b.baseline.pool.Exec(ctx, "select tasker_testbed.save($1)", b.baseline.saves)
	return b.baseline.saves, errors.Wrap(err, "testbed: saving the database")
}

// leaveDatabase puts the database back after the last test.
func (b *Bed) leaveDatabase() error {
	if b.baseline.pool == nil {
		return nil
	}
	defer b.baseline.pool.Close()
	ctx := context.Background()
	if err := b.putBack(ctx, firstSave); err != nil {
		return err
	}
	_, err := b.baseline.pool.Exec(ctx, "select pg_advisory_unlock("+lockKey+")") // before the backend ends, which takes a moment
	return errors.Wrap(err, "testbed: leaving the database")
}

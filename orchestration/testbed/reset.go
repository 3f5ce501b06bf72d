package testbed

import (
	"context"
	_ "embed"
	"sync"

	"github.com/cockroachdb/errors"
)

//go:embed reset.sql
var resetSQL string

// firstSave is the number of what the first Begin has found.
const firstSave = 0

// baseline is what the database is to be when a test begins.
type baseline struct {
	mu    sync.Mutex
	taken bool
	saves int // since the last Begin
}

// take remembers the database as it is, once.
func (b *Bed) take(ctx context.Context) error {
	if b.baseline.taken {
		return nil
	}
	if _, err := b.pool.Exec(ctx, resetSQL); err != nil {
		return errors.WithHint(errors.Wrap(err, "testbed: preparing the database"),
			"The user of the test database must be allowed to create a schema in it.")
	}
	if _, err := b.pool.Exec(ctx, "select tasker_testbed.take()"); err != nil {
		return errors.Wrap(err, "testbed: remembering the database")
	}
	b.baseline.taken = true
	return nil
}

// putBack puts the database back to what it was at a save.
func (b *Bed) putBack(ctx context.Context, save int) error {
	b.baseline.mu.Lock()
	defer b.baseline.mu.Unlock()
	if err := b.take(ctx); err != nil {
		return err
	}
	var changed bool
	if err := b.pool.QueryRow(ctx, "select tasker_testbed.restore($1)", save).Scan(&changed); err != nil {
		return b.explainLocks(ctx, errors.Wrap(err, "testbed: putting the database back"))
	}
	if changed {
		if err := b.repairSchema(ctx); err != nil {
			return err
		}
	}
	if save == firstSave {
		b.baseline.saves = 0
	}
	b.forget()
	return nil
}

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
	_, err = b.pool.Exec(ctx, "select tasker_testbed.save($1)", b.baseline.saves)
	return b.baseline.saves, errors.Wrap(err, "testbed: saving the database")
}

// leaveDatabase puts the database back after the last test.
func (b *Bed) leaveDatabase() error {
	if !b.baseline.taken {
		return nil
	}
	return b.putBack(context.Background(), firstSave)
}

package main

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

// lazyPool is a database that is opened when it is first needed: a command
// whose handlers do not load leaves nothing behind.
type lazyPool struct {
	ephemeral, migrate bool
	size               int32
	sql                *rubysteps.SQL // what handlers have of it

	mu          sync.Mutex
	db          *database
	ready       *pgxpool.Pool
	unreachable bool // the server does not answer, not even to a good-bye
}

func (l *lazyPool) open(ctx context.Context) (*pgxpool.Pool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready != nil {
		return l.ready, nil
	}
	if l.db == nil {
		db, err := openDatabase(ctx, l.ephemeral)
		if err != nil {
			return nil, err
		}
		l.db = db
	}
	pool, err := l.db.pool(ctx, l.size, l.migrate)
	l.ready = pool
	return pool, err
}

// place is that of the database, once it is open.
func (l *lazyPool) place() string { return l.db.place() }

// discarded reports whether what is in the database is gone with the command.
func (l *lazyPool) discarded() bool { return l.ephemeral && l.db.local != nil }

func (l *lazyPool) close() error {
	if l.sql != nil {
		l.sql.Close(context.Background())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ready != nil && l.unreachable:
		go l.ready.Close()
	case l.ready != nil:
		l.ready.Close()
	}
	if l.db == nil {
		return nil
	}
	return l.db.close()
}

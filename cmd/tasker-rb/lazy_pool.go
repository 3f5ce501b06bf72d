package main

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

// lazyPool is a pool that is opened when it is first needed. A command whose
// handlers do not load leaves no trace in the database.
type lazyPool struct {
	ephemeral, migrate bool
	size               int32
	sql                *rubysteps.SQL // serves the SQL of handlers

	mu          sync.Mutex
	db          *database
	ready       *pgxpool.Pool
	unreachable bool // the server does not answer, so closing does not wait for it
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

// place names the database for a message. The pool must be open.
func (l *lazyPool) place() string { return l.db.place() }

// discarded reports whether the database ends with the command.
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

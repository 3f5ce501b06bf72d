package main

import (
	"context"
	"sync"

	"github.com/cockroachdb/errors"
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
	return l.openLocked(ctx)
}

// openForRuby opens the pool for a statement of Ruby code. Its error says for people why there
// is none, and what to do.
func (l *lazyPool) openForRuby(ctx context.Context) (*pgxpool.Pool, error) {
	pool, err := l.open(ctx)
	if err == nil {
		return pool, nil
	}
	hint, err := explained(err)
	err = errors.New(plain(err.Error()))
	if hint != "" {
		err = errors.WithHint(err, hintLine(hint))
	}
	return nil, err
}

// openAhead opens the pool while the caller does something else. If it fails, open tries
// again, and says why.
func (l *lazyPool) openAhead(ctx context.Context) {
	l.mu.Lock()
	go func() {
		defer l.mu.Unlock()
		_, _ = l.openLocked(ctx)
	}()
}

func (l *lazyPool) openLocked(ctx context.Context) (*pgxpool.Pool, error) {
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

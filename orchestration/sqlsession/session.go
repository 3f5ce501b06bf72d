package sqlsession

import (
	"context"
	"sync/atomic"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Session runs statements one after the other. All methods may be called from
// any goroutine.
type Session struct {
	pool *pgxpool.Pool
	step bool // the transaction is the engine's
	iso  string

	patient bool

	// Of a handler in Go:
	until     context.Context //nolint:containedctx // the step's: the handler can give any to its statements
	calling   atomic.Bool     // a call of its transaction has the turn, or waits for it
	raw       atomic.Bool     // it has the connection itself
	abandoned atomic.Bool     // a call of its transaction kept the turn, and Finish stopped waiting

	turn chan struct{} // holds a token while no goroutine uses the fields below
	over error         // why no more statements are taken

	conn       *connection
	begun      bool
	tx         *goTx  // of a handler in Go
	failed     *Error // the error that aborted the transaction
	gone       *Error // outside steps: why the connection of an open transaction is lost
	savepoints []savepoint
	settings   *Settings // in force on the connection
	lasting    *Settings // in force on it outside transactions
	altered    bool      // the transaction has changed the schema
	kept       [][]byte  // the engine's settings, if the transaction may have changed them
	hooks      []hook
	onEnd      func(hooks []uint64, fate Fate)
	trace      func(Traced)
	around     func(sql string) (after func(Traced), err error)
}

// ForStep returns the session of a step whose transaction the caller ends.
// isolation is PostgreSQL's name of the level; empty means the server's default.
func ForStep(pool *pgxpool.Pool, isolation string) *Session {
	return newSession(&Session{pool: pool, step: true, iso: isolation})
}

// Wait lets the step's transaction be idle for any time, whatever the server's settings say:
// a person looks at it. It has to be called before the first statement, and counts for
// transactions that [Session.Exec] begins.
func (s *Session) Wait() { s.patient = true }

// Plain returns a session outside steps: each statement commits by itself
// unless its user begins a transaction. It holds a connection only while a
// transaction is open, or once a statement has left something on it.
func Plain(pool *pgxpool.Pool) *Session { return newSession(&Session{pool: pool}) }

func newSession(s *Session) *Session {
	s.turn = make(chan struct{}, 1)
	s.turn <- struct{}{}
	return s
}

// InStep reports whether the session's transaction is a step's.
func (s *Session) InStep() bool { return s.step }

// Status is the transaction's, in PostgreSQL's letters: I outside one, T inside,
// E after a failed statement. A step is always inside its transaction. X says that a
// plain session has lost the connection of its transaction.
func (s *Session) Status(ctx context.Context) (byte, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	switch {
	case s.failed != nil:
		return inError, nil
	case s.gone != nil:
		return connectionGone, nil
	case s.step:
		return inTransaction, nil
	case s.conn == nil:
		return idle, nil
	default:
		return s.conn.status(), nil
	}
}

// Holds reports whether the session has a connection at this moment, or had one and
// lost it in a transaction. Any other plain session can be replaced by a new one.
func (s *Session) Holds() bool {
	<-s.turn
	defer s.leave()
	return s.conn != nil || s.gone != nil
}

// enter waits for the turn. It fails if the session takes no more statements.
func (s *Session) enter(ctx context.Context) error {
	select {
	case <-s.turn:
	default:
		select {
		case <-s.turn:
		case <-ctx.Done():
			return interrupted(ctx)
		}
	}
	if s.over != nil {
		s.leave()
		return s.over
	}
	return nil
}

// leave gives the turn back.
func (s *Session) leave() { s.turn <- struct{}{} }

// connect takes a connection of the pool for the session, if it has none. A connection
// that does not open in its time says nothing about the next one: the network may have
// been silent when it began.
func (s *Session) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	pooled, err := s.pool.Acquire(ctx)
	for try := 0; errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && try < maxTries; try++ {
		pooled, err = s.pool.Acquire(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		return lost(err)
	}
	s.conn, s.settings, s.lasting = attach(pooled), nil, nil
	return nil
}

// giveBack returns a plain session's connection to the pool. The session keeps
// it while a transaction is open, or while a statement's effect remains on it.
func (s *Session) giveBack(ctx context.Context) {
	if s.step || s.conn == nil {
		return
	}
	switch {
	case s.conn.pg().IsClosed():
		s.release(ctx)
	case s.conn.status() != idle || s.conn.spoiled || s.conn.listening:
		// The session keeps it.
	case s.conn.stale:
		s.release(ctx)
	default:
		s.unset(ctx)
		s.release(ctx)
	}
}

// release rolls back an open transaction, returns the connection to the pool, and
// forgets the transaction.
func (s *Session) release(ctx context.Context) {
	if s.conn == nil {
		return
	}
	s.conn.stale = s.conn.stale || s.raw.Load()
	s.conn.release(ctx)
	s.endSchemaChange()
	s.conn, s.tx, s.begun, s.failed, s.settings, s.lasting, s.savepoints = nil, nil, false, nil, nil, nil, nil
	s.kept = nil
}

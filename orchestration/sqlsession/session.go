package sqlsession

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Session runs statements one after the other, whichever goroutine they come
// from. All methods may be called from any goroutine.
type Session struct {
	pool *pgxpool.Pool
	step bool // the transaction is the engine's
	iso  string

	// Of a handler in Go:
	until   context.Context //nolint:containedctx // the step's: the handler can give any to its statements
	calling atomic.Bool     // a call of its transaction has the turn, or waits for it
	raw     atomic.Bool     // it has the connection itself
	left    atomic.Bool     // it is left behind with the turn

	turn chan struct{} // holds a token while nobody uses what is below
	over error         // why no more statements are taken

	conn       *connection
	begun      bool
	tx         *handlerTx // of a handler in Go
	failed     *Error     // what aborted the transaction
	savepoints []savepoint
	settings   *Settings // in force on the connection
	lasting    *Settings // in force on it outside transactions
	altered    bool      // the transaction has changed the schema
	hooks      []hook
	onEnd      func(hooks []uint64, committed bool)
}

type savepoint struct {
	name  string
	owner uint64
}

type hook struct {
	depth  int // how many savepoints it was registered under
	number uint64
}

// Ended says that it is known what has become of what was done where a hook
// was added.
type Ended struct {
	Hook      uint64
	Committed bool
}

// ForStep returns the session of a step whose transaction the caller ends.
// isolation is PostgreSQL's name of the level; empty means the server's default.
func ForStep(pool *pgxpool.Pool, isolation string) *Session {
	return newSession(&Session{pool: pool, step: true, iso: isolation})
}

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

// Status is the transaction's, as PostgreSQL says it: I outside one, T inside,
// E after a failed statement. A step is always inside its transaction.
func (s *Session) Status(ctx context.Context) (byte, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	switch {
	case s.failed != nil:
		return inError, nil
	case s.step:
		return inTransaction, nil
	case s.conn == nil:
		return idle, nil
	default:
		return s.conn.status(), nil
	}
}

// Holds reports whether the session has a connection at this moment.
func (s *Session) Holds() bool {
	<-s.turn
	defer s.leave()
	return s.conn != nil
}

// enter waits for the session to be free.
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

func (s *Session) leave() { s.turn <- struct{}{} }

// connect takes a connection of the pool for the session.
func (s *Session) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		return lost(err)
	}
	s.conn, s.settings, s.lasting = attach(pooled), nil, nil
	return nil
}

// beginning is what precedes the first statement of a step, sent along with it.
func (s *Session) beginning(ctx context.Context) []string {
	if !s.step || s.begun {
		return nil
	}
	begin := "begin"
	if s.iso != "" {
		begin += " isolation level " + s.iso
	}
	statements := []string{begin}
	if deadline, ok := ctx.Deadline(); ok {
		// The statement is cancelled when ctx ends; this is for a process that
		// is not there any more to do so.
		left := max(time.Until(deadline), 0) + backstop
		statements = append(statements, fmt.Sprintf("set local statement_timeout = %d", left.Milliseconds()))
	}
	return statements
}

const backstop = 2 * time.Second

// Tx returns the step's transaction for a handler that is written in Go. It
// takes a connection, and begins along with the first statement. Its Commit and
// Rollback are refused.
func (s *Session) Tx(ctx context.Context) (pgx.Tx, error) {
	ctx, end := s.within(ctx)
	defer end()
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if !s.step {
		return nil, errors.New("sqlsession: a plain session has no transaction of a step's")
	}
	if s.tx != nil {
		return s.tx, nil
	}
	if s.begun {
		return nil, errors.New("sqlsession: the transaction was begun by a statement, not by Tx")
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	s.tx = &handlerTx{s: s, conn: s.conn.pgx()}
	return s.tx, nil
}

// Until has the statements of a handler that is written in Go end with the
// step's context, whatever context they are given. It must come before Tx.
func (s *Session) Until(step context.Context) { s.until = step }

// within gives a context that ends also with the step's. end has to be called
// once it is not used any more.
func (s *Session) within(ctx context.Context) (_ context.Context, end context.CancelFunc) {
	if s.until == nil || ctx.Done() == s.until.Done() {
		return ctx, func() {}
	}
	both, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(s.until, func() { cancel(context.Cause(s.until)) })
	return both, func() { forget(); cancel(nil) }
}

// Begin begins the step's transaction before any statement.
func (s *Session) Begin(ctx context.Context) error {
	tx, err := s.Tx(ctx)
	if err != nil {
		return err
	}
	return tx.(*handlerTx).using(ctx, func(context.Context, pgx.Tx) error { return nil })
}

// AddHook remembers a number for as long as it is open whether what was done
// in this place will be committed. It comes back once: in the Ended of the
// result whose statement decided it, or through the function given to OnEnd.
// open is false when there is no transaction: all was committed already.
func (s *Session) AddHook(ctx context.Context, number uint64) (open bool, err error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	if !s.step && (s.conn == nil || s.conn.status() == idle) {
		return false, nil
	}
	s.hooks = append(s.hooks, hook{depth: len(s.savepoints), number: number})
	return true, nil
}

// OnEnd has f called with the hooks that are left when the session ends.
func (s *Session) OnEnd(f func(hooks []uint64, committed bool)) {
	<-s.turn
	defer s.leave()
	s.onEnd = f
}

// Finish takes no more statements and waits for one under way, whose context
// must have ended. It reports whether there is a transaction to be ended, and
// why it cannot be committed.
//
// Code of a handler in Go that is called meanwhile, as the source of a copy is,
// need not come to an end. Then the session is left behind with it, and gives its
// connection back when it does; there is nothing to be ended.
func (s *Session) Finish() (open bool, failure *Error) {
	select {
	case <-s.turn:
	default:
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-s.turn:
		case <-late.C:
			s.left.Store(true)
			go s.endLeft()
			return false, errLeftBehind
		}
	}
	defer s.leave()
	if s.over == nil {
		s.over = ErrOver
	}
	if !s.step && s.failed == nil && s.conn != nil && !s.conn.pg().IsClosed() && s.conn.status() != idle {
		return false, errLeftOpen
	}
	if s.tx != nil && s.begun && s.failed == nil && (s.conn.pg().IsBusy() || s.conn.pg().IsClosed()) {
		s.failed = errLeftRunning
	}
	return s.begun, s.failed
}

// patience is how long Finish waits: longer than it takes to cancel a statement.
const patience = 2 * hardStop

// endLeft ends a session that was left behind.
func (s *Session) endLeft() {
	<-s.turn
	s.over = ErrOver
	if s.conn != nil {
		s.conn.spoiled = true
	}
	s.release(context.Background())
	s.leave()
	s.tell(false)
}

// Commit sends what queue puts into the batch, and the commit behind it, in one
// round trip: if a statement of the batch fails, nothing is committed. It must
// come after Finish.
func (s *Session) Commit(ctx context.Context, queue func(*pgx.Batch)) error {
	<-s.turn
	defer s.leave()
	var batch pgx.Batch
	queue(&batch)
	batch.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return errors.Newf("PostgreSQL answered COMMIT with %s", tag)
		}
		return nil
	})
	err := s.conn.pgx().SendBatch(ctx, &batch).Close()
	s.release(ctx)
	return errors.Wrap(err, "committing the step's transaction")
}

// Rollback ends the transaction, if there is one, and forgets what was done in
// it. It must come after Finish.
func (s *Session) Rollback(ctx context.Context) {
	if s.left.Load() {
		return
	}
	<-s.turn
	defer s.leave()
	s.release(ctx)
}

// Done hands the hooks that are left to the function of OnEnd. It must come
// after Commit or Rollback; a second call does nothing.
func (s *Session) Done(committed bool) {
	if !s.left.Load() {
		s.tell(committed)
	}
}

func (s *Session) tell(committed bool) {
	<-s.turn
	hooks, call := s.ended(0, committed), s.onEnd
	s.leave()
	if len(hooks) == 0 || call == nil {
		return
	}
	numbers := make([]uint64, len(hooks))
	for i, h := range hooks {
		numbers[i] = h.Hook
	}
	call(numbers, committed)
}

// Close ends a plain session; an open transaction is rolled back.
func (s *Session) Close(ctx context.Context) {
	s.Finish()
	s.Rollback(ctx)
	s.Done(false)
}

// ended takes out the hooks that were added under at least depth savepoints.
func (s *Session) ended(depth int, committed bool) []Ended {
	var out []Ended
	kept := s.hooks[:0]
	for _, h := range s.hooks {
		if h.depth >= depth {
			out = append(out, Ended{Hook: h.number, Committed: committed})
		} else {
			kept = append(kept, h)
		}
	}
	s.hooks = kept
	return out
}

// release gives the connection back, without a transaction on it.
func (s *Session) release(ctx context.Context) {
	if s.conn == nil {
		return
	}
	s.conn.stale = s.conn.stale || s.raw.Load()
	s.conn.release(ctx)
	s.schemaSettled()
	s.conn, s.tx, s.begun, s.failed, s.settings, s.lasting, s.savepoints = nil, nil, false, nil, nil, nil, nil
}

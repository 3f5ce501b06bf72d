package sqlsession

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A step's session ends in three calls: Finish, then Commit or Rollback, then
// Done. A trial has CheckCommit before its Rollback.

// finishTimeout is how long Finish waits for a call under way. It is longer than
// cancelling a statement takes.
const finishTimeout = 2 * hardStop

// Finish takes no more statements and waits for the one under way. The context
// of that statement must have ended. open reports whether there is a transaction
// to end; failure is the reason why it cannot be committed.
//
// A handler in Go may have code of its own called during a statement, such as
// the source of a copy. That code may never return. After finishTimeout the call
// is abandoned: the session gives its connection back when the call returns, and
// there is no transaction to end.
func (s *Session) Finish() (open bool, failure *Error) {
	select {
	case <-s.turn:
	default:
		late := time.NewTimer(finishTimeout)
		defer late.Stop()
		select {
		case <-s.turn:
		case <-late.C:
			s.abandoned.Store(true)
			go s.endAbandoned()
			return false, errAbandoned
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

var errAbandoned = &Error{
	SQLState: stateActive, Message: "the handler has ended, but a call of its transaction has not",
	Hint: "a source of rows for CopyFrom has to return when the step's context ends",
}

var errLeftOpen = &Error{
	SQLState: stateActive, Rule: true,
	Message: "the handler returned while a transaction of its own was open; it was rolled back",
	Hint:    "commit it in the handler, or leave out `transaction: none` to have it commit with the step",
}

var errLeftRunning = &Error{
	SQLState: stateCancelled, Message: "the statement was cancelled: the handler had returned",
	Hint: "close the rows of a query before the handler returns, and wait for the goroutines that it starts",
}

// endAbandoned ends the session once its abandoned call has returned.
func (s *Session) endAbandoned() {
	<-s.turn
	s.over = ErrOver
	if s.conn != nil {
		s.conn.spoiled = true
	}
	s.release(context.Background())
	s.leave()
	s.tell(RolledBack)
}

// Commit sends the statements that queue puts into the batch, and the commit
// behind them, in one round trip. If one of them fails, nothing is committed. If
// the handler may have changed settings, another round trip puts the engine's back
// first. Commit must come after Finish.
func (s *Session) Commit(ctx context.Context, queue func(*pgx.Batch)) error {
	<-s.turn
	defer s.leave()
	var batch pgx.Batch
	queue(&batch)
	committed := false
	batch.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return errors.Newf("PostgreSQL answered COMMIT with %s", tag)
		}
		committed = true
		return nil
	})
	s.queueDiscard(&batch)
	err := s.putBack(ctx)
	if err == nil {
		err = s.conn.pgx().SendBatch(ctx, &batch).Close()
	}
	if committed {
		err = nil // whatever came behind the commit
	}
	err = s.committing(err)
	s.release(ctx)
	return err
}

// CheckCommit looks for what would fail the commit: constraints that are deferred until
// then. It commits nothing. It must come between Finish and Rollback.
func (s *Session) CheckCommit(ctx context.Context) error {
	if s.abandoned.Load() {
		return nil
	}
	<-s.turn
	defer s.leave()
	if s.conn == nil || !s.begun || s.failed != nil {
		return nil
	}
	_, err := s.conn.pgx().Exec(ctx, "set constraints all immediate")
	return s.committing(err)
}

// Rollback rolls the transaction back, if there is one, and gives the connection
// back. It must come after Finish.
func (s *Session) Rollback(ctx context.Context) {
	if s.abandoned.Load() {
		return
	}
	<-s.turn
	defer s.leave()
	s.release(ctx)
}

// Fate is what became of a step's transaction.
type Fate uint8

// The fates of a transaction.
const (
	RolledBack Fate = iota
	Committed
	// Unknown says that the answer to the commit was lost, and that nobody could be
	// asked. Neither kind of hook may then run.
	Unknown
)

func (f Fate) String() string { return [...]string{"rolled back", "committed", "unknown"}[f] }

// Done hands the remaining hooks to the function of OnEnd. It must come after
// Commit or Rollback; a second call does nothing.
func (s *Session) Done(fate Fate) {
	if !s.abandoned.Load() {
		s.tell(fate)
	}
}

// Close ends a plain session; an open transaction is rolled back.
func (s *Session) Close(ctx context.Context) {
	s.Finish()
	s.Rollback(ctx)
	s.Done(RolledBack)
}

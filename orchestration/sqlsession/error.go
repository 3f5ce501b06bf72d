package sqlsession

import (
	"context"
	"fmt"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

// Error is the error of a statement: PostgreSQL's own, or one of this package's.
// Both have a SQLSTATE.
type Error struct {
	SQLState string // five characters
	Message  string // PostgreSQL's primary message
	Detail   string
	Hint     string
	// Server is PostgreSQL's error; nil if the error is this package's.
	Server *pgconn.PgError
	// Rule says that the statement broke one of the session's rules and was not
	// sent. Another try would fail too; the transaction goes on.
	Rule bool
	// Earlier says that an earlier statement failed with this error, and the
	// transaction with it.
	Earlier bool
	// Unplaced says that the step's transaction has just failed with this error, and not
	// only a savepoint: [Session.NotePlace] may tell its place.
	Unplaced bool
	Place    []string // the backtrace of the statement, if it was noted; see [Session.NotePlace]
	Err      error
}

func (e *Error) Error() string {
	if e.Server != nil {
		return fmt.Sprintf("%s: %s (SQLSTATE %s)", e.Server.Severity, e.Message, e.SQLState)
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.SQLState)
}

// Unwrap returns the error below this one.
func (e *Error) Unwrap() error {
	if e.Server != nil {
		return e.Server
	}
	return e.Err
}

// ErrOver is the error of a statement that comes after its step has ended.
var ErrOver = &Error{
	SQLState: stateOver, Rule: true, Message: "the step has ended, and its transaction with it",
	Hint: "Join the threads that the handler starts before it returns.",
}

// interrupted is the error of a statement whose context has ended.
func interrupted(ctx context.Context) *Error {
	return &Error{
		SQLState: stateCancelled, Message: "the statement was cancelled: " + context.Cause(ctx).Error(),
		Err: context.Cause(ctx),
	}
}

// lost is the error of a statement whose connection is gone.
func lost(err error) *Error {
	return &Error{SQLState: stateConnectionLost, Message: "the connection to PostgreSQL is lost: " + err.Error(), Err: err}
}

// describe makes any error of a connection an Error.
func describe(err error, closed bool) *Error {
	var already *Error
	if errors.As(err, &already) {
		return already
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return &Error{SQLState: pg.Code, Message: pg.Message, Detail: pg.Detail, Hint: pg.Hint, Server: pg}
	}
	if closed {
		return lost(err)
	}
	return &Error{SQLState: stateProtocol, Message: err.Error(), Err: err}
}

// again is this error for a later statement of the failed transaction.
func (e *Error) again() *Error {
	repeated := *e
	repeated.Earlier = true
	return &repeated
}

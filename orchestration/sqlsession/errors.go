package sqlsession

import (
	"context"
	"fmt"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

// Error is why a statement was not carried out: PostgreSQL's own error, or
// one of this package's, which has a SQLSTATE too.
type Error struct {
	SQLState string // five characters
	Message  string // PostgreSQL's primary message
	Detail   string
	Hint     string
	// Server is PostgreSQL's error; nil if it was not asked.
	Server *pgconn.PgError
	// Rule says that the statement broke one of the session's rules and was
	// not sent: trying again cannot help, and the transaction goes on.
	Rule bool
	// Earlier says that the transaction had failed with this error before.
	Earlier bool
	Err     error
}

func (e *Error) Error() string {
	if e.Server != nil {
		return fmt.Sprintf("%s: %s (SQLSTATE %s)", e.Server.Severity, e.Message, e.SQLState)
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.SQLState)
}

// Unwrap returns what the error came from.
func (e *Error) Unwrap() error {
	if e.Server != nil {
		return e.Server
	}
	return e.Err
}

// The SQLSTATEs of this package's own errors.
const (
	stateConnectionLost = "08006"
	stateNotInStep      = "2D000" // invalid_transaction_termination
	stateActive         = "25001" // active_sql_transaction
	stateOver           = "25P01" // no_active_sql_transaction
	stateCancelled      = "57014" // query_canceled
	stateTooLarge       = "54000" // program_limit_exceeded
	stateProtocol       = "08P01"
	stateNotListening   = "55000" // object_not_in_prerequisite_state
)

// ErrOver is the error of a statement that comes after its step has ended.
var ErrOver = &Error{
	SQLState: stateOver, Rule: true, Message: "the step has ended, and its transaction with it",
	Hint: "Join the threads that the handler starts before it returns.",
}

func refuse(verb string) *Error {
	state, instead := stateNotInStep, "raise an error to have it rolled back"
	if verb == "BEGIN" || verb == "START TRANSACTION" {
		state, instead = stateActive, "use a savepoint for a transaction inside it: transaction { } or SAVEPOINT"
	}
	return &Error{
		SQLState: state, Rule: true,
		Message: verb + " is not possible inside a step: its transaction is the engine's, and commits with the step's results",
		Hint:    instead + ", or say `transaction: none` in the template",
	}
}

func refuseListen(verb string) *Error {
	return &Error{
		SQLState: stateNotInStep, Rule: true,
		Message: verb + " is not possible inside a step: the step's connection is another one in the next attempt",
		Hint:    "listen on a connection of your own; NOTIFY works, and is sent with the commit",
	}
}

var errOtherThread = &Error{
	SQLState: stateActive, Rule: true,
	Message: "another thread of this step is inside a savepoint, which this statement would become part of",
	Hint:    "run the statement when the other thread's transaction { } has ended",
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

var errLeftBehind = &Error{
	SQLState: stateActive, Message: "the handler has ended, but a call of its transaction has not",
	Hint: "a source of rows for CopyFrom has to return when the step's context ends",
}

func interrupted(ctx context.Context) *Error {
	return &Error{
		SQLState: stateCancelled, Message: "the statement was cancelled: " + context.Cause(ctx).Error(),
		Err: context.Cause(ctx),
	}
}

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

// again is the error of a statement after the one that failed.
func (e *Error) again() *Error {
	repeated := *e
	repeated.Earlier = true
	return &repeated
}

// Passing reports whether another attempt may not meet the error: lost
// connections, serialization failures, deadlocks, a server that stops or has
// no room.
func (e *Error) Passing() bool {
	switch e.SQLState[:2] {
	case "08", "40", "53", "55", "58":
		return true
	case "57":
		return e.SQLState != stateCancelled
	}
	return false
}

// Class names what the error is about as Ruby does below Tasker::SQLError;
// empty when there is no name for it.
func (e *Error) Class() string {
	if e.Rule {
		return "TransactionControl"
	}
	if name, ok := classes[e.SQLState]; ok {
		return name
	}
	return classes[e.SQLState[:2]]
}

// classes is by SQLSTATE, or by its first two characters.
var classes = map[string]string{
	"08":    "ConnectionLost",
	"22":    "DataException",
	"23":    "IntegrityConstraintViolation",
	"23502": "NotNullViolation",
	"23503": "ForeignKeyViolation",
	"23505": "UniqueViolation",
	"23514": "CheckViolation",
	"23P01": "ExclusionViolation",
	"25006": "ReadOnlyTransaction",
	"40001": "SerializationFailure",
	"40P01": "DeadlockDetected",
	"42501": "InsufficientPrivilege",
	"42601": "SyntaxError",
	"42703": "UndefinedColumn",
	"42883": "UndefinedFunction",
	"42P01": "UndefinedTable",
	"53":    "InsufficientResources",
	"55P03": "LockNotAvailable",
	"57014": "QueryCanceled",
	"57P01": "ConnectionLost",
	"57P02": "ConnectionLost",
	"57P03": "ConnectionLost",
	"57P05": "ConnectionLost",
}

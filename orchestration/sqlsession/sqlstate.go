package sqlsession

import (
	"cmp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs of this package's own errors.
const (
	stateConnectionLost = "08006"
	stateNotInStep      = "2D000" // invalid_transaction_termination
	stateReadOnly       = "25006" // read_only_sql_transaction
	stateActive         = "25001" // active_sql_transaction
	stateOver           = "25P01" // no_active_sql_transaction
	stateCancelled      = "57014" // query_canceled
	stateTooLarge       = "54000" // program_limit_exceeded
	stateProtocol       = "08P01"
	stateNotListening   = "55000" // object_not_in_prerequisite_state
)

// Class returns the name of the error's class in Ruby, without the
// Tasker::SQLError before it. It is empty if the class is Tasker::SQLError itself.
func (e *Error) Class() string {
	if e.Rule {
		return "TransactionControl"
	}
	if refusesMessage(e.Server) {
		return "ProtocolViolation"
	}
	if name, ok := classes[e.SQLState]; ok {
		return name
	}
	return classes[e.SQLState[:min(2, len(e.SQLState))]]
}

// Programming reports whether the server refused the statement because it is wrong: of SQLSTATE
// class 42, such as a missing table, or with a wrong number of parameters. Another attempt
// would do the same.
func (e *Error) Programming() bool {
	return strings.HasPrefix(e.SQLState, wrongSQL) || refusesMessage(e.Server)
}

// wrongSQL is the class of SQLSTATE for statements that are wrong: a table or a column that
// is not there, a fault of syntax, a right that is missing.
const wrongSQL = "42"

// refusesMessage reports whether PostgreSQL refused a message as wrong, and kept the
// session. That is a statement with a wrong number of parameters. Poolers report a lost
// server with the same SQLSTATE. They end the session, and name no routine of PostgreSQL.
func refusesMessage(e *pgconn.PgError) bool {
	return e != nil && e.Code == stateProtocol && e.Routine != "" && cmp.Or(e.SeverityUnlocalized, e.Severity) == "ERROR"
}

// classes maps a SQLSTATE, or its first two characters, to the class in
// rubyhost/ruby/lib/tasker/sql_error.rb that a handler in Ruby can rescue. It does
// not decide about retries.
var classes = map[string]string{
	"08":          "ConnectionLost",
	"22":          "DataException",
	"23":          "IntegrityConstraintViolation",
	"23502":       "NotNullViolation",
	"23503":       "ForeignKeyViolation",
	"23505":       "UniqueViolation",
	"23514":       "CheckViolation",
	"23P01":       "ExclusionViolation",
	stateReadOnly: "ReadOnlyTransaction",
	"40001":       "SerializationFailure",
	"40P01":       "DeadlockDetected",
	"42501":       "InsufficientPrivilege",
	"42601":       "SyntaxError",
	"42703":       "UndefinedColumn",
	"42883":       "UndefinedFunction",
	"42P01":       "UndefinedTable",
	"53":          "InsufficientResources",
	"55P03":       "LockNotAvailable",
	"57014":       "QueryCanceled",
	"57P01":       "ConnectionLost",
	"57P02":       "ConnectionLost",
	"57P03":       "ConnectionLost",
	"57P05":       "ConnectionLost",
}

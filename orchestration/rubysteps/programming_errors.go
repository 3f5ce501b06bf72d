package rubysteps

import (
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// The exceptions of code that is wrong. A wait does not mend it.
var programmingErrors = []string{"NameError", "NotImplementedError", "LoadError", "SyntaxError"}

// The exceptions for a statement that is wrong: of SQLSTATE class 42, as the gem pg has it, or
// with a wrong number of parameters.
var wrongStatements = []string{"PG::SyntaxErrorOrAccessRuleViolation", "PG::ProtocolViolation", "Tasker::SQLError::ProtocolViolation"}

// The exceptions in which libraries wrap an error of the database.
var wrappedStatements = []string{"ActiveRecord::StatementInvalid", "Sequel::DatabaseError"}

// isProgrammingError reports whether the code is wrong, and not what it met. An exception
// that the handler raised because of such a one is the handler's own.
func isProgrammingError(e *rubyhost.Error) bool {
	switch {
	case isAny(e, programmingErrors...), isAny(e, wrongStatements...):
		return true
	case isAny(e, "Tasker::SQLError"):
		return strings.HasPrefix(e.ErrorCode, "42")
	case e.Cause != nil && isAny(e, wrappedStatements...):
		return isProgrammingError(e.Cause)
	}
	return false
}

func isAny(e *rubyhost.Error, classes ...string) bool {
	return slices.ContainsFunc(classes, e.IsA)
}

package orchestration

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// errTimeout is the cause with which a step's context ends when its time is over.
type errTimeout struct{ limit time.Duration }

func (e errTimeout) Error() string        { return fmt.Sprintf("the step took longer than its %v", e.limit) }
func (e errTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// stepError converts any error into a StepError.
func stepError(ctx context.Context, err error) *StepError {
	var timeout errTimeout
	if errors.As(context.Cause(ctx), &timeout) {
		s := &StepError{Class: "Tasker::StepTimeout", Message: timeout.Error(), Err: err}
		var place *StepError
		if errors.As(err, &place) {
			s.Message, s.Backtrace = place.Message, place.Backtrace
		}
		return s
	}
	var s *StepError
	if errors.As(err, &s) {
		return s
	}
	var sql *sqlsession.Error
	if errors.As(err, &sql) {
		return sqlFailure(sql)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return sqlFailure(&sqlsession.Error{SQLState: pg.Code, Message: pg.Message, Detail: pg.Detail, Hint: pg.Hint, Server: pg})
	}
	message := err.Error()
	if hint := errors.FlattenHints(err); hint != "" {
		message += " (" + hint + ")"
	}
	return &StepError{Class: typeName(err), Message: message, Err: err}
}

func typeName(err error) string { return fmt.Sprintf("%T", errors.UnwrapAll(err)) }

// namedBy reports whether the failure is the driver's own error of a lost connection, for
// which the session has a name.
func (e *StepError) namedBy(session *sqlsession.Error) bool {
	return e.Err != nil && e.Class == typeName(e.Err) && session.Err != nil && errors.Is(e.Err, session.Err)
}

// sqlFailure describes a failed statement. The handler may have hidden its error.
func sqlFailure(e *sqlsession.Error) *StepError {
	class := "Tasker::SQLError"
	if name := e.Class(); name != "" {
		class += "::" + name
	}
	s := &StepError{Class: class, Message: e.Message, ErrorCode: e.SQLState, Permanent: e.Rule, Programming: e.Programming(), Backtrace: e.Place, Err: e}
	for _, more := range []string{e.Detail, e.Hint} {
		if more != "" {
			s.Message += "\n" + more
		}
	}
	return s
}

// ofSession is the failure of an attempt whose handler ended with failure, and whose session
// with failed. Either may be nil.
func ofSession(failure *StepError, failed *sqlsession.Error) *StepError {
	if failed == nil || failure != nil && !failure.namedBy(failed) {
		return failure
	}
	s := sqlFailure(failed)
	if hint := failed.RescuedHint(); failure == nil && hint != "" {
		s.Message += "\n" + hint
	}
	return s
}

// commitFailure describes a commit that failed, or whose answer did not come.
func commitFailure(err error) *StepError {
	s := stepError(context.Background(), err)
	switch {
	case sqlsession.ConnectionLost(err):
		s.Class = "Tasker::SQLError::ConnectionLost"
	case errors.Is(err, context.DeadlineExceeded):
		s.Class, s.Message = "Tasker::SQLError::ConnectionLost", "the server did not answer in time"
	}
	s.Message = "the step's transaction could not be committed: " + s.Message
	return s
}

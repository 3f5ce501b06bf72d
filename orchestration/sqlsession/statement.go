package sqlsession

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Statement is one text to run, with its parameters. A text without parameters
// may hold several statements; the result is then that of the last one.
type Statement struct {
	SQL     string
	Params  [][]byte // a nil element is NULL
	Formats []int16  // of Params: 0 text, 1 binary; nil: all are text
	Types   []uint32 // of Params; 0: the server decides; nil: it decides all
	Binary  bool     // return the values in binary
	Single  bool     // refuse a text of several statements, also without Params

	// JSON holds another form of some parameters. It is sent instead of the
	// parameter if the parameter's type is json or jsonb. It is nil, or as long
	// as Params; a nil element means that there is no other form.
	JSON [][]byte

	// Owner tells the threads of a step apart.
	Owner uint64
	// Settings are in force while the statement runs.
	Settings *Settings
	// OnNotice is called for each notice and warning of the server while the statement
	// runs, if [ReceiveNotices] has prepared the pool. It may be nil.
	OnNotice func(*pgconn.Notice)
}

// Result is the result of a statement. Values holds the values of all rows, one
// after the other, row by row.
type Result struct {
	Fields []pgconn.FieldDescription
	Rows   int
	Values []byte
	// Ends is where each value ends in Values. For NULL it is the bitwise
	// complement of that.
	Ends   []int32
	Tag    string
	Status byte // of the transaction: I, T or E
	Copy   byte // I: the text wants data (see CopyIn); O: the rows are copied lines
	Ended  []Ended
}

// Exec runs a statement. The error is an [*Error].
func (s *Session) Exec(ctx context.Context, st *Statement) (*Result, error) {
	return s.checkAndSend(ctx, st, func(parts []part, sql string) (*Result, error) {
		switch {
		case len(parts) == 0 && len(st.Params) == 0 && !s.step:
			return s.sendNothing(sql)
		case len(parts) == 1 && parts[0].kind == copiesIn:
			return &Result{Copy: 'I'}, nil
		case len(parts) == 1 && parts[0].kind == copiesOut:
			return s.copyOut(ctx, st, parts, sql)
		case len(parts) > 1 && !st.Single && len(st.Params) == 0:
			return s.sendSimple(ctx, st, parts, sql)
		default:
			return s.sendExtended(ctx, st, parts, sql)
		}
	})
}

// checkAndSend checks the statement, sends it with send, and notes its effect on
// the transaction.
func (s *Session) checkAndSend(ctx context.Context, st *Statement, send func(parts []part, sql string) (*Result, error)) (result *Result, err error) {
	if s.trace != nil {
		began := time.Now()
		defer func() { s.trace(st.traced(began, result, err)) }()
	}
	if s.around != nil {
		after, refused := s.announce(ctx, st.SQL)
		if refused != nil {
			return nil, refused
		}
		began := time.Now()
		defer func() { after(st.traced(began, result, err)) }()
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	parts := classified(st.SQL)
	if err := s.admit(parts, st); err != nil {
		return nil, err
	}
	if s.gone != nil {
		return s.afterLoss(parts, st)
	}
	result, ended, failure := s.sendOnce(ctx, parts, st, send)
	for try := 0; failure != nil && failure.SQLState == stateConnectionLost && s.fresh() && try < maxTries; try++ {
		// The pool's connection was dead. Nothing was committed: try another one.
		s.release(ctx)
		result, ended, failure = s.sendOnce(ctx, parts, st, send)
	}
	if result != nil {
		result.Ended = ended
		if s.conn != nil {
			result.Status = s.conn.status()
		} else {
			result.Status = idle
		}
	}
	s.giveBack(ctx)
	if failure != nil {
		return nil, failure
	}
	return result, nil
}

// maxTries is how many dead connections of the pool a first statement may meet.
const maxTries = 3

// fresh reports whether a step's first statement has not succeeded yet.
func (s *Session) fresh() bool { return s.step && !s.begun && s.conn != nil }

// sendOnce sends the statement on the session's connection, cancels it when ctx
// ends, and notes its effect.
func (s *Session) sendOnce(ctx context.Context, parts []part, st *Statement, send func([]part, string) (*Result, error)) (*Result, []Ended, *Error) {
	if err := s.connect(ctx); err != nil {
		return nil, nil, describe(err, true)
	}
	inside := !s.step && s.conn.status() != idle
	defer s.conn.hear(st.OnNotice)()
	done := s.conn.guard(ctx)
	now := func() (*Result, error) { return send(parts, s.localised(parts, st.SQL)) }
	var result *Result
	var err error
	if s.needsOwn(parts, st) {
		result, err = s.sendOwn(ctx, st, now)
	} else {
		result, err = now()
	}
	if done() && err != nil {
		err = interrupted(ctx)
	}
	ended, failure := s.noteResult(parts, st, result, err)
	if inside && failure != nil && s.conn.pg().IsClosed() {
		s.gone = failure
	}
	return result, ended, failure
}

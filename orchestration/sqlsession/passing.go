package sqlsession

import (
	"context"
	"io"
	"net"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

// Passing reports whether the cause of an error may be gone at the next try. The engine
// uses this one list for its own statements, for the commit of a step, and for the
// commands of people. Handlers in Go can use it too.
//
// These errors pass:
//
//   - a lost connection (SQLSTATE 08), and a network that does not answer. PostgreSQL's own
//     08P01 is no such thing: the statement has a wrong number of parameters
//   - a serialization failure or a deadlock (40)
//   - too few resources (53)
//   - an object that is in use (55006) or locked (55P03)
//   - a server that stops, or that ends a statement or a session by a time limit (57)
//   - a system error, such as a failed read (58)
//   - a server that takes no writes (25006), as after a failover
//
// These do not pass: an error of the statement itself, a statement that broke one of the
// session's rules, and the end of the caller's own context.
func Passing(err error) bool {
	var own *Error
	if errors.As(err, &own) && own.Server == nil {
		return !own.Rule && own.SQLState != stateCancelled && passes(own.SQLState)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return passes(pg.Code) && !refusesMessage(pg)
	}
	return ConnectionLost(err)
}

// Passing reports whether the cause of the error may be gone at the next try; see the
// function [Passing].
func (e *Error) Passing() bool { return Passing(e) }

func passes(state string) bool {
	switch state[:min(2, len(state))] { // a server of another make may send none
	case "08", "40", "53", "57", "58":
		return true
	}
	return state == "55006" || state == "55P03" || state == stateReadOnly
}

// ConnectionLost reports whether the server did not answer, or ended the session instead.
// The statement may have been executed all the same.
func ConnectionLost(err error) bool {
	var own *Error
	if errors.As(err, &own) {
		return own.Class() == "ConnectionLost"
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (&Error{SQLState: pg.Code, Server: pg}).Class() == "ConnectionLost" {
		return true
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) ||
		errors.IsAny(err, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed) || pgconn.SafeToRetry(err)
}

package sqlsession

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// shortest is the wait when most is 0: enough to read what has arrived.
const shortest = time.Millisecond

// Notified waits for a notification on a channel that the session listens on. It
// waits for most at the longest; if most is negative, it waits without a limit.
// It returns nil when no notification came. Other statements of the session wait
// meanwhile.
func (s *Session) Notified(ctx context.Context, most time.Duration) (*pgconn.Notification, error) {
	if s.step {
		return nil, refuseListen("waiting for NOTIFY")
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if s.conn == nil {
		if most == 0 {
			return nil, nil
		}
		return nil, &Error{SQLState: stateNotListening, Message: "nothing is listened to on this connection", Hint: "run LISTEN on it first"}
	}
	if n := s.conn.untaken; n != nil {
		s.conn.untaken = nil
		return n, nil
	}
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if most >= 0 {
		waiting, cancel = context.WithTimeout(ctx, max(most, shortest))
	}
	defer cancel()
	n, err := s.conn.pgx().WaitForNotification(waiting)
	closed := s.conn.pg().IsClosed()
	switch {
	case err == nil && ctx.Err() != nil: // it came just after the waiter had left: keep it
		s.conn.untaken = n
		return nil, interrupted(ctx)
	case err == nil:
		return n, nil
	case closed:
		s.giveBack(ctx)
		return nil, describe(err, true)
	case ctx.Err() != nil:
		return nil, interrupted(ctx)
	default:
		return nil, nil
	}
}

// forgetNotifications drops what has come and was not taken. It must be called once
// the server sends no more: the connection would hand it to its next session.
func (c *connection) forgetNotifications() {
	c.untaken = nil
	over, cancel := context.WithCancel(context.Background())
	cancel() // so that only what is here already is taken
	for {
		if _, err := c.pgx().WaitForNotification(over); err != nil {
			return
		}
	}
}

// unlistensAll reports whether a text ends all listening, and does nothing else.
func unlistensAll(sql string) bool {
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(sql), ";"))
	return len(words) == 2 && strings.EqualFold(words[0], "UNLISTEN") && words[1] == "*"
}

package sqlsession

import (
	"context"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Behind a pooler in transaction mode, a connection may get another backend for each
// transaction. So what belongs together has to be in one transaction, and nothing may
// remain on the connection. Whoever is told to use no prepared statements is taken to be
// behind such a pooler.

// shares reports whether others may have the backend after the next transaction.
func (c *connection) shares() bool { return !c.may }

// needsOwn reports whether a statement outside transactions must have one of its own,
// because something has to precede it on the same backend: settings, or the question
// for the types of its parameters. Statements that sendAlone sends have one anyway.
func (s *Session) needsOwn(parts []part, st *Statement) bool {
	if s.step || !s.conn.shares() || s.conn.status() != idle || len(parts) == 0 {
		return false
	}
	for i := range parts {
		if k := parts[i].kind; k != other && k != copiesIn && k != copiesOut {
			return false
		}
	}
	if st.JSON != nil {
		return true
	}
	return st.Settings != nil && len(st.Settings.Set) > 0 && !isPreparable(parts)
}

// sendOwn calls send in a transaction of its own, in which the statement's settings are
// in force. A statement that refuses to be in a transaction is sent without settings.
func (s *Session) sendOwn(ctx context.Context, st *Statement, send func() (*Result, error)) (*Result, error) {
	texts := []string{"begin"}
	if st.Settings != nil {
		for _, n := range st.Settings.Set {
			texts = append(texts, "set local "+n.Text)
		}
	}
	outer := s.settings
	s.settings = st.Settings
	defer func() { s.settings = outer }()
	defer s.rollbackAlone(ctx)
	if _, err := s.conn.pg().Exec(context.Background(), strings.Join(texts, "; ")).ReadAll(); err != nil {
		return nil, err
	}
	result, err := send()
	if refusesTransaction(err) {
		s.rollbackAlone(ctx)
		s.settings = outer
		return send()
	}
	if err != nil {
		return nil, err
	}
	_, err = s.conn.pg().Exec(context.Background(), "commit").ReadAll()
	return result, err
}

// refusesTransaction recognizes the error of VACUUM and its like in a transaction.
func refusesTransaction(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == stateActive && pg.Routine == "PreventInTransactionBlock"
}

// queueDiscard has the backend forget what a step's statements may have left on it. To
// close the connection is not enough: the pooler keeps the backend, for others. It is
// sent along with the commit, because after that the backend may be another one.
func (s *Session) queueDiscard(batch *pgx.Batch) {
	if s.conn.shares() && (s.conn.spoiled || s.raw.Load()) {
		batch.Queue("discard all")
	}
}

package sqlsession

import (
	"context"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

// query is a statement in the form in which it is sent.
type query struct {
	sql      string
	prepared *pgconn.StatementDescription // sent instead of sql; nil: sql itself
	params   [][]byte
	types    []uint32
	formats  []int16 // of params
	results  []int16 // the formats of the result
	single   bool    // the server must refuse several statements in sql
}

// sendExtended sends one statement and what must precede it, in one round trip,
// with PostgreSQL's extended protocol.
func (s *Session) sendExtended(ctx context.Context, st *Statement, parts []part, sql string) (*Result, error) {
	if !s.step && s.conn.status() == idle && !isPreparable(parts) {
		// Some of these statements refuse to be sent along with another one.
		if err := s.sendBefore(ctx, st, parts); err != nil {
			return nil, err
		}
	}
	if st.JSON != nil && !s.conn.may {
		// What precedes the statement would replace the unnamed prepared one.
		if err := s.sendBefore(ctx, st, nil); err != nil {
			return nil, err
		}
	}
	prepared, err := s.prepare(st, parts, sql)
	if err != nil {
		return nil, err
	}
	q := query{sql: sql, prepared: prepared, params: st.Params, types: st.Types, formats: st.Formats, single: st.Single}
	if st.JSON != nil {
		q.params = asTyped(st.Params, st.JSON, prepared.ParamOIDs)
	}
	if st.Binary {
		q.results = []int16{1}
	}
	alone := !s.step && s.conn.status() == idle
	before := s.before(ctx, st, parts)
	switch {
	case len(before) == 0:
		return s.sendOnly(&q)
	case alone:
		return s.sendAlone(ctx, before, &q)
	default:
		return s.sendBatch(before, &q)
	}
}

// sendOnly sends a statement that nothing must precede.
func (s *Session) sendOnly(q *query) (*Result, error) {
	pg := s.conn.pg()
	if q.prepared != nil {
		return read(pg.ExecStatement(context.Background(), q.prepared, q.params, q.formats, q.results))
	}
	if len(q.params) == 0 && !q.single && q.results == nil && strings.IndexByte(q.sql, ';') < 0 {
		// One message of the simple protocol is cheaper for the server than the
		// five of the extended one. With a semicolon in the text it must be the
		// extended one: there the server itself refuses several statements.
		return readLast(pg.Exec(context.Background(), q.sql))
	}
	return read(pg.ExecParams(context.Background(), q.sql, q.params, q.types, q.formats, q.results))
}

// sendNothing sends a text without a statement, to see whether the server answers. In
// a failed transaction the server takes it with the simple protocol only.
func (s *Session) sendNothing(sql string) (*Result, error) {
	if err := s.conn.pg().Exec(context.Background(), sql).Close(); err != nil {
		return nil, err
	}
	return &Result{}, nil
}

// sendAlone sends the statement in a transaction of its own, in one round trip.
// The settings in before are SET LOCAL and end with that transaction.
func (s *Session) sendAlone(ctx context.Context, before []string, q *query) (*Result, error) {
	defer s.rollbackAlone(ctx)
	return s.sendBatch(append([]string{"begin"}, before...), q, "commit")
}

// rollbackAlone rolls the transaction of a single statement back if the
// statement has failed.
func (s *Session) rollbackAlone(ctx context.Context) {
	if s.conn.pg().IsClosed() || s.conn.status() == idle {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
	defer cancel()
	if _, err := s.conn.pg().Exec(ctx, "rollback").ReadAll(); err != nil {
		s.conn.spoiled = true
	}
}

// sendBatch sends the texts of before, the statement and the texts of after in
// one round trip, and returns the statement's result.
func (s *Session) sendBatch(before []string, q *query, after ...string) (*Result, error) {
	var batch pgconn.Batch
	for _, text := range before {
		batch.ExecParams(text, nil, nil, nil, nil)
	}
	if q.prepared != nil {
		batch.ExecStatement(q.prepared, q.params, q.formats, q.results)
	} else {
		batch.ExecParams(q.sql, q.params, q.types, q.formats, q.results)
	}
	for _, text := range after {
		batch.ExecParams(text, nil, nil, nil, nil)
	}
	answers := s.conn.pg().ExecBatch(context.Background(), &batch)
	for _, text := range before {
		if !answers.NextResult() {
			return nil, answers.Close()
		}
		answer := answers.ResultReader().Read()
		if answer.Err != nil {
			return nil, errors.CombineErrors(answer.Err, answers.Close())
		}
		s.noteBefore(text, answer)
	}
	if !answers.NextResult() {
		return nil, answers.Close()
	}
	result, err := read(answers.ResultReader())
	if closing := answers.Close(); err == nil {
		err = closing
	}
	return result, err
}

// sendSimple sends a text of several statements with PostgreSQL's simple
// protocol.
func (s *Session) sendSimple(ctx context.Context, st *Statement, parts []part, sql string) (*Result, error) {
	if err := s.sendBefore(ctx, st, parts); err != nil {
		return nil, err
	}
	return readLast(s.conn.pg().Exec(context.Background(), sql))
}

// sendBefore sends what must precede the statement, each text in a round trip of
// its own.
func (s *Session) sendBefore(ctx context.Context, st *Statement, parts []part) error {
	for _, text := range s.before(ctx, st, parts) {
		answers, err := s.conn.pg().Exec(context.Background(), text).ReadAll()
		if err != nil {
			return err
		}
		s.noteBefore(text, answers[0])
	}
	return nil
}

// noteBefore notes what a text of before has done.
func (s *Session) noteBefore(text string, answer *pgconn.Result) {
	s.begun = true
	if text == keepSQL {
		s.keep(answer.Rows[0])
	}
}

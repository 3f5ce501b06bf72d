package sqlsession

import (
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Tx returns the step's transaction for a handler that is written in Go. It
// takes a connection, and begins along with the first statement. Its Commit and
// Rollback are refused.
func (s *Session) Tx(ctx context.Context) (pgx.Tx, error) {
	t, err := s.openTx(ctx)
	if err != nil {
		return nil, err
	}
	return stepTx{t}, nil
}

// openTx returns the transaction of Tx, without the two methods that are refused.
func (s *Session) openTx(ctx context.Context) (*goTx, error) {
	ctx, end := s.within(ctx)
	defer end()
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if !s.step {
		return nil, errors.New("sqlsession: a plain session has no transaction of a step's")
	}
	if s.tx != nil {
		return s.tx, nil
	}
	if s.begun {
		return nil, errors.New("sqlsession: the transaction was begun by a statement, not by Tx")
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	s.tx = &goTx{s: s, conn: s.conn.pgx()}
	return s.tx, nil
}

// Begin begins the step's transaction before any statement.
func (s *Session) Begin(ctx context.Context) error {
	t, err := s.openTx(ctx)
	if err != nil {
		return err
	}
	return t.withBegun(ctx, func(context.Context, pgx.Tx) error { return nil })
}

// Until ends the statements of a handler that is written in Go with the step's
// context, whatever context they are given. It must come before Tx.
func (s *Session) Until(step context.Context) { s.until = step }

// within returns a context that ends with ctx or with the step, whichever is
// first. Call end when the context is not used any more.
func (s *Session) within(ctx context.Context) (_ context.Context, end context.CancelFunc) {
	if s.until == nil || ctx.Done() == s.until.Done() {
		return ctx, func() {}
	}
	both, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(s.until, func() { cancel(context.Cause(s.until)) })
	return both, func() { forget(); cancel(nil) }
}

// stepTx is the step's transaction as a handler in Go sees it.
type stepTx struct{ *goTx }

var (
	errEngines = errors.WithHint(errors.New("the step's transaction is ended by the engine, with the step's results"),
		"Return an error to have it rolled back; use Begin for a savepoint.")
	errBusy = errors.WithHint(errors.New("conn busy: another call of the transaction is under way"),
		"A transaction is for one goroutine at a time.")
)

// Commit is refused.
func (stepTx) Commit(context.Context) error { return errEngines }

// Rollback is refused.
func (stepTx) Rollback(context.Context) error { return errEngines }

// savepointTx is a savepoint in the step's transaction. Its Commit releases it;
// its Rollback goes back to it.
type savepointTx struct{ *goTx }

func (t savepointTx) Commit(ctx context.Context) error {
	return t.withBegun(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) })
}

func (t savepointTx) Rollback(ctx context.Context) error {
	return t.withBegun(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) })
}

// goTx has what the two kinds of transaction of a handler in Go have in common.
// The step's transaction begins along with its first statement, in one round
// trip, wherever pgx can send the two together.
//
// Every use of the connection is in the session's turn, and none is allowed once
// the step has ended: the connection may be another step's by then. As in pgx, a
// call fails if another one is under way; it does not wait.
type goTx struct {
	s    *Session
	conn *pgx.Conn
	tx   pgx.Tx // nil until it has begun
}

func (t *goTx) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	ran, err := t.announceGo(ctx, sql)
	if err != nil {
		return tag, err
	}
	defer func() { ran(tag, err) }()
	err = t.inTurnWithin(ctx, func(ctx context.Context) (err error) {
		if sql, err = t.admitSQL(ctx, sql); err != nil {
			return err
		}
		if t.tx != nil || len(args) == 0 || !batchable(sql, args) { // without arguments it may be several statements
			tag, err = t.execBegun(ctx, sql, args)
			return err
		}
		answers, err := t.sendWithBegin(ctx, sql, args)
		if err != nil {
			return err
		}
		tag, err = answers.Exec()
		if closing := answers.Close(); err == nil {
			err = closing
		}
		return err
	})
	return tag, err
}

func (t *goTx) execBegun(ctx context.Context, sql string, args []any) (pgconn.CommandTag, error) {
	tx, err := t.ensureBegun(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return tx.Exec(ctx, sql, args...)
}

func (t *goTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	ran, err := t.announceGo(ctx, sql)
	if err != nil {
		return noRows{err: err}, err
	}
	ctx, end := t.s.within(ctx)
	var rows pgx.Rows
	err = t.inTurn(ctx, func() (err error) {
		if sql, err = t.admitSQL(ctx, sql); err != nil {
			return err
		}
		rows, err = t.query(ctx, sql, args)
		return err
	})
	if err != nil {
		end()
		ran(pgconn.CommandTag{}, err)
		return noRows{err: err}, err
	}
	return &goRows{rows: rows, t: t, ctx: ctx, end: end, ran: ran}, nil
}

func (t *goTx) query(ctx context.Context, sql string, args []any) (pgx.Rows, error) {
	if t.tx != nil || !batchable(sql, args) {
		tx, err := t.ensureBegun(ctx)
		if err != nil {
			return nil, err
		}
		return tx.Query(ctx, sql, args...)
	}
	answers, err := t.sendWithBegin(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	rows, err := answers.Query()
	first := &firstRows{rows: rows, answers: answers}
	if err != nil {
		first.Close()
	}
	return first, err
}

func (t *goTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := t.Query(ctx, sql, args...) // the rows have the error
	return oneRow{rows}
}

// Begin sets a savepoint.
func (t *goTx) Begin(ctx context.Context) (nested pgx.Tx, err error) {
	err = t.withBegun(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		nested, err = tx.Begin(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return savepointTx{&goTx{s: t.s, conn: t.conn, tx: nested}}, nil
}

func (t *goTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (n int64, err error) {
	ran, err := t.announceGo(ctx, "copy "+table.Sanitize()+" from stdin")
	if err != nil {
		return 0, err
	}
	defer func() { ran(pgconn.NewCommandTag(fmt.Sprintf("COPY %d", n)), err) }()
	err = t.withBegun(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		n, err = tx.CopyFrom(ctx, table, columns, rows)
		return err
	})
	return n, err
}

func (t *goTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	var texts []string
	if t.s.around != nil {
		for _, q := range b.QueuedQueries {
			texts = append(texts, q.SQL)
		}
	}
	ran, err := t.announceGo(ctx, texts...)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	ctx, end := t.s.within(ctx)
	var answers pgx.BatchResults
	err = t.inTurn(ctx, func() error {
		for _, q := range b.QueuedQueries {
			var err error
			if q.SQL, err = t.admitSQL(ctx, q.SQL); err != nil {
				return err
			}
		}
		tx, err := t.ensureBegun(ctx)
		if err == nil {
			answers = tx.SendBatch(ctx, b)
		}
		return err
	})
	if err != nil {
		end()
		ran(pgconn.CommandTag{}, err)
		return pgx.FailedBatchResults(b, err)
	}
	return &goResults{results: answers, t: t, ctx: ctx, end: end, ran: ran}
}

func (t *goTx) Prepare(ctx context.Context, name, sql string) (d *pgconn.StatementDescription, err error) {
	err = t.withBegun(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		d, err = tx.Prepare(ctx, name, sql)
		return err
	})
	return d, err
}

// LargeObjects begins the transaction. The objects that it returns use the
// connection without asking for the turn, also after the step has ended; so the
// connection is closed with the step.
func (t *goTx) LargeObjects() (objects pgx.LargeObjects) {
	err := t.withBegun(context.Background(), func(_ context.Context, tx pgx.Tx) error {
		t.s.raw.Store(true)
		objects = tx.LargeObjects()
		return nil
	})
	if err != nil {
		var never pgx.Batch
		never.BeginTx(t.options())
		return pgx.FailedBatchResults(&never, err).Tx().LargeObjects() // those of a closed transaction
	}
	return objects
}

// Conn begins the transaction and returns its connection. Statements on the
// connection are part of the transaction. The connection is closed with the
// step. If the transaction cannot begin, the connection is closed at once; after
// the step, Conn returns nil.
func (t *goTx) Conn() *pgx.Conn {
	t.s.raw.Store(true)
	err := t.inTurnWithin(context.Background(), func(ctx context.Context) error {
		_, err := t.ensureBegun(ctx)
		if err == nil {
			err = t.keepSettings(ctx)
		}
		if err != nil {
			_ = t.conn.Close(ctx)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errBusy) {
		return nil
	}
	return t.conn
}

// admitSQL must come before a text of the handler's is sent. It reads the engine's
// settings if the text may change them. It returns the text with SET LOCAL for SET.
func (t *goTx) admitSQL(ctx context.Context, sql string) (string, error) {
	parts := classified(sql)
	for i := range parts {
		if kind := parts[i].kind; (kind == resets || kind == lingers) && t.s.conn != nil {
			t.s.conn.spoiled = true
		}
	}
	if !slices.ContainsFunc(parts, touches) {
		return sql, nil
	}
	if t.s.failed != nil && t.s.kept == nil && len(parts) > 1 {
		return sql, errSetAlone
	}
	if _, err := t.ensureBegun(ctx); err != nil {
		return sql, err
	}
	return t.s.localised(parts, sql), t.keepSettings(ctx)
}

// keepSettings reads the engine's settings, once for each transaction.
func (t *goTx) keepSettings(ctx context.Context) error {
	s := t.s
	if s.kept != nil || s.conn.status() != inTransaction {
		return nil
	}
	answer := s.conn.pg().ExecParams(ctx, keepSQL, nil, nil, nil, nil).Read()
	if answer.Err == nil {
		s.keep(answer.Rows[0])
	}
	return answer.Err
}

// withBegun calls do with the begun transaction, in the turn.
func (t *goTx) withBegun(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return t.inTurnWithin(ctx, func(ctx context.Context) error {
		tx, err := t.ensureBegun(ctx)
		if err != nil {
			return err
		}
		return do(ctx, tx)
	})
}

// inTurnWithin calls do in the turn, with a context that ends with the step at
// the latest.
func (t *goTx) inTurnWithin(ctx context.Context, do func(context.Context) error) error {
	ctx, end := t.s.within(ctx)
	defer end()
	return t.inTurn(ctx, func() error { return do(ctx) })
}

// inTurn calls do in the turn.
func (t *goTx) inTurn(ctx context.Context, do func() error) error {
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	err := error(nil)
	defer func() { t.endTurn(ctx, err) }()
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	err = do()
	return err
}

// takeTurn waits for the turn. It does not wait for another call of the handler:
// that fails with errBusy.
func (t *goTx) takeTurn(ctx context.Context) error {
	if !t.s.calling.CompareAndSwap(false, true) {
		return errBusy
	}
	if err := t.s.enter(ctx); err != nil {
		t.s.calling.Store(false)
		return err
	}
	return nil
}

// endTurn gives the turn back. If err made the transaction fail, it keeps err:
// for later statements PostgreSQL reports only that the transaction has failed.
func (t *goTx) endTurn(ctx context.Context, err error) {
	s := t.s
	if s.conn != nil && s.begun {
		closed := s.conn.pg().IsClosed()
		switch {
		case err != nil && s.failed == nil && (closed || s.conn.status() == inError):
			s.failed = failed(ctx, err, closed)
		case err == nil && s.failed != nil && !closed && s.conn.status() == inTransaction:
			s.failed = nil // back at a savepoint
		}
	}
	s.calling.Store(false)
	s.leave()
}

// failed is the error of a statement with this context.
func failed(ctx context.Context, err error, closed bool) *Error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	return describe(err, closed)
}

// ensureBegun begins the transaction in a round trip of its own, if it has not
// begun. It is for calls that pgx cannot send along with the begin.
func (t *goTx) ensureBegun(ctx context.Context) (pgx.Tx, error) {
	if t.tx != nil {
		return t.tx, nil
	}
	err := t.beginWith(ctx, func() (err error) {
		t.tx, err = t.conn.BeginTx(ctx, t.options())
		return errors.Wrap(err, "beginning the step's transaction")
	})
	return t.tx, err
}

// sendWithBegin sends the begin and the statement in one round trip. The
// returned answers start at the statement's.
func (t *goTx) sendWithBegin(ctx context.Context, sql string, args []any) (answers pgx.BatchResults, err error) {
	err = t.beginWith(ctx, func() error {
		var batch pgx.Batch
		batch.BeginTx(t.options())
		batch.Queue(sql, args...)
		answers = t.conn.SendBatch(ctx, &batch)
		if _, err := answers.Exec(); err != nil {
			return errors.CombineErrors(err, answers.Close())
		}
		t.tx = answers.Tx()
		return nil
	})
	return answers, err
}

// beginWith begins the transaction by calling send. If the pool's connection was
// dead, nothing has been done, and it calls send again on another one.
//
// If send fails, the transaction counts as failed, even if it has not begun. So a
// first statement that cannot be prepared has the same effect as a later one.
func (t *goTx) beginWith(ctx context.Context, send func() error) error {
	s := t.s
	if s.failed != nil {
		return s.failed.again()
	}
	err := send()
	for try := 0; err != nil && t.conn.IsClosed() && ctx.Err() == nil && try < maxTries; try++ {
		s.release(ctx)
		if err := s.connect(ctx); err != nil {
			return err
		}
		s.tx, t.conn = t, s.conn.pgx()
		err = send()
	}
	if err != nil {
		s.failed = failed(ctx, err, t.conn.IsClosed())
		return err
	}
	s.begun = true
	return nil
}

func (t *goTx) options() pgx.TxOptions { return pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(t.s.iso)} }

// batchable reports whether a statement with these arguments can be sent in a
// batch: of pgx's options, only a query rewriter is possible there.
func batchable(sql string, args []any) bool {
	if sql == "" {
		return false // pgx panics at an empty statement in a batch
	}
	if len(args) == 0 {
		return true
	}
	switch args[0].(type) {
	case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		return false
	case pgx.QueryRewriter:
		return len(args) == 1
	}
	return true
}

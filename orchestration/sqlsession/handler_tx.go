package sqlsession

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// handlerTx is a step's transaction as a handler in Go sees it. It begins along
// with its first statement, in one round trip, wherever pgx can send the two
// together.
//
// Whatever uses the connection does so in the session's turn, and not once the
// step is over: then the connection is another's. As with pgx, calls do not wait
// for each other.
type handlerTx struct {
	s    *Session
	conn *pgx.Conn
	tx   pgx.Tx // nil until it has begun
}

var (
	errEngines = errors.WithHint(errors.New("the step's transaction is ended by the engine, with the step's results"),
		"Return an error to have it rolled back; use Begin for a savepoint.")
	errBusy = errors.WithHint(errors.New("conn busy: another call of the transaction is under way"),
		"A transaction is for one goroutine at a time.")
)

// Commit is refused.
func (*handlerTx) Commit(context.Context) error { return errEngines }

// Rollback is refused.
func (*handlerTx) Rollback(context.Context) error { return errEngines }

func (t *handlerTx) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = t.call(ctx, func(ctx context.Context) (err error) {
		if t.tx != nil || len(args) == 0 || !travels(args) { // without arguments it may be several statements
			tag, err = t.execBegun(ctx, sql, args)
			return err
		}
		answers, err := t.along(ctx, sql, args)
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

func (t *handlerTx) execBegun(ctx context.Context, sql string, args []any) (pgconn.CommandTag, error) {
	tx, err := t.begun(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return tx.Exec(ctx, sql, args...)
}

func (t *handlerTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	ctx, end := t.s.within(ctx)
	var rows pgx.Rows
	err := t.statement(ctx, func() (err error) {
		rows, err = t.query(ctx, sql, args)
		return err
	})
	if err != nil {
		end()
		return noRows{err: err}, err
	}
	return &handlerRows{Rows: rows, t: t, ctx: ctx, end: end}, nil
}

func (t *handlerTx) query(ctx context.Context, sql string, args []any) (pgx.Rows, error) {
	if t.tx != nil || !travels(args) {
		tx, err := t.begun(ctx)
		if err != nil {
			return nil, err
		}
		return tx.Query(ctx, sql, args...)
	}
	answers, err := t.along(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	rows, err := answers.Query()
	first := &firstRows{Rows: rows, answers: answers}
	if err != nil {
		first.Close()
	}
	return first, err
}

func (t *handlerTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := t.Query(ctx, sql, args...) // the rows have the error
	return oneRow{rows}
}

func (t *handlerTx) Begin(ctx context.Context) (nested pgx.Tx, err error) {
	err = t.using(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		nested, err = tx.Begin(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return nestedTx{&handlerTx{s: t.s, conn: t.conn, tx: nested}}, nil
}

func (t *handlerTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (n int64, err error) {
	err = t.using(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		n, err = tx.CopyFrom(ctx, table, columns, rows)
		return err
	})
	return n, err
}

func (t *handlerTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	ctx, end := t.s.within(ctx)
	var answers pgx.BatchResults
	err := t.statement(ctx, func() error {
		tx, err := t.begun(ctx)
		if err == nil {
			answers = tx.SendBatch(ctx, b)
		}
		return err
	})
	if err != nil {
		end()
		return pgx.FailedBatchResults(b, err)
	}
	return &handlerResults{BatchResults: answers, t: t, ctx: ctx, end: end}
}

func (t *handlerTx) Prepare(ctx context.Context, name, sql string) (d *pgconn.StatementDescription, err error) {
	err = t.using(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		d, err = tx.Prepare(ctx, name, sql)
		return err
	})
	return d, err
}

// LargeObjects begins the transaction: what it returns does not ask for it, nor
// whether the step is over.
func (t *handlerTx) LargeObjects() (objects pgx.LargeObjects) {
	err := t.using(context.Background(), func(_ context.Context, tx pgx.Tx) error {
		t.s.raw.Store(true)
		objects = tx.LargeObjects()
		return nil
	})
	if err != nil {
		var never pgx.Batch
		never.BeginTx(t.options())
		return pgx.FailedBatchResults(&never, err).Tx().LargeObjects() // of a closed one
	}
	return objects
}

// Conn begins the transaction: what is done on the connection is in it, and
// nobody else gets the connection afterwards. When the transaction cannot begin,
// the connection is closed; when the step is over, there is none.
func (t *handlerTx) Conn() *pgx.Conn {
	t.s.raw.Store(true)
	err := t.call(context.Background(), func(ctx context.Context) error {
		_, err := t.begun(ctx)
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

// nestedTx is a savepoint.
type nestedTx struct{ *handlerTx }

func (n nestedTx) Commit(ctx context.Context) error {
	return n.using(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) })
}

func (n nestedTx) Rollback(ctx context.Context) error {
	return n.using(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) })
}

// using calls do with the begun transaction.
func (t *handlerTx) using(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return t.call(ctx, func(ctx context.Context) error {
		tx, err := t.begun(ctx)
		if err != nil {
			return err
		}
		return do(ctx, tx)
	})
}

// call calls do in its turn, with a context that ends with the step at the
// latest.
func (t *handlerTx) call(ctx context.Context, do func(context.Context) error) error {
	ctx, end := t.s.within(ctx)
	defer end()
	return t.statement(ctx, func() error { return do(ctx) })
}

// statement calls do in its turn.
func (t *handlerTx) statement(ctx context.Context, do func() error) error {
	if err := t.take(ctx); err != nil {
		return err
	}
	err := error(nil)
	defer func() { t.give(ctx, err) }()
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	err = do()
	return err
}

// take waits for the turn, but not for another call of the handler's.
func (t *handlerTx) take(ctx context.Context) error {
	if !t.s.calling.CompareAndSwap(false, true) {
		return errBusy
	}
	if err := t.s.enter(ctx); err != nil {
		t.s.calling.Store(false)
		return err
	}
	return nil
}

// give gives the turn back, and keeps the error with which the transaction
// failed: whatever comes after it is told only that it has.
func (t *handlerTx) give(ctx context.Context, err error) {
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

// failed is why a statement with this context failed.
func failed(ctx context.Context, err error, closed bool) *Error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	return describe(err, closed)
}

// begun is for what cannot be sent along with the beginning.
func (t *handlerTx) begun(ctx context.Context) (pgx.Tx, error) {
	if t.tx != nil {
		return t.tx, nil
	}
	err := t.first(ctx, func() (err error) {
		t.tx, err = t.conn.BeginTx(ctx, t.options())
		return errors.Wrap(err, "beginning the step's transaction")
	})
	return t.tx, err
}

// along sends a statement behind the beginning, and returns the answers from
// the statement's on.
func (t *handlerTx) along(ctx context.Context, sql string, args []any) (answers pgx.BatchResults, err error) {
	err = t.first(ctx, func() error {
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

// first carries out what the transaction begins with; again on another
// connection if the pool's was dead, for then nothing has been done.
//
// It fails also when the statement could not even be prepared. A statement that
// fails in a transaction spoils it; so does this one, although nothing had begun.
func (t *handlerTx) first(ctx context.Context, do func() error) error {
	s := t.s
	if s.failed != nil {
		return s.failed.again()
	}
	err := do()
	for try := 0; err != nil && t.conn.IsClosed() && ctx.Err() == nil && try < maxTries; try++ {
		s.release(ctx)
		if err := s.connect(ctx); err != nil {
			return err
		}
		s.tx, t.conn = t, s.conn.pgx()
		err = do()
	}
	if err != nil {
		s.failed = failed(ctx, err, t.conn.IsClosed())
		return err
	}
	s.begun = true
	return nil
}

func (t *handlerTx) options() pgx.TxOptions { return pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(t.s.iso)} }

// travels tells statements that can be sent in a batch: pgx takes no option
// there but one that rewrites the query.
func travels(args []any) bool {
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

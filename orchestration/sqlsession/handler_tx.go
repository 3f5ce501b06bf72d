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
// Its statements take their turn like all of the session's: none is carried out
// once the step is over, when the connection is another's.
type handlerTx struct {
	s    *Session
	conn *pgx.Conn
	tx   pgx.Tx // nil until it has begun
}

var errEngines = errors.WithHint(errors.New("the step's transaction is ended by the engine, with the step's results"),
	"Return an error to have it rolled back; use Begin for a savepoint.")

// Commit is refused.
func (*handlerTx) Commit(context.Context) error { return errEngines }

// Rollback is refused.
func (*handlerTx) Rollback(context.Context) error { return errEngines }

func (t *handlerTx) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	if ctx, err = t.enter(ctx); err != nil {
		return tag, err
	}
	defer t.s.leave()
	if t.tx == nil && len(args) > 0 && travels(args) { // without arguments it may be several statements
		answers, err := t.along(ctx, sql, args)
		if err != nil {
			return tag, err
		}
		tag, err = answers.Exec()
		if closing := answers.Close(); err == nil {
			err = closing
		}
		return tag, err
	}
	tx, err := t.begun(ctx)
	if err != nil {
		return tag, err
	}
	return tx.Exec(ctx, sql, args...)
}

func (t *handlerTx) Query(ctx context.Context, sql string, args ...any) (rows pgx.Rows, err error) {
	if ctx, err = t.enter(ctx); err != nil {
		return noRows{err: err}, err
	}
	defer t.s.leave()
	if t.tx == nil && travels(args) {
		answers, err := t.along(ctx, sql, args)
		if err != nil {
			return noRows{err: err}, err
		}
		rows, err := answers.Query()
		first := &firstRows{Rows: rows, answers: answers}
		if err != nil {
			first.Close()
		}
		return first, err
	}
	tx, err := t.begun(ctx)
	if err != nil {
		return noRows{err: err}, err
	}
	return tx.Query(ctx, sql, args...)
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

func (t *handlerTx) SendBatch(ctx context.Context, b *pgx.Batch) (answers pgx.BatchResults) {
	err := t.using(ctx, func(ctx context.Context, tx pgx.Tx) error {
		answers = tx.SendBatch(ctx, b)
		return nil
	})
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return answers
}

func (t *handlerTx) Prepare(ctx context.Context, name, sql string) (d *pgconn.StatementDescription, err error) {
	err = t.using(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		d, err = tx.Prepare(ctx, name, sql)
		return err
	})
	return d, err
}

// LargeObjects begins the transaction: what it returns does not ask for it.
func (t *handlerTx) LargeObjects() (objects pgx.LargeObjects) {
	err := t.using(context.Background(), func(_ context.Context, tx pgx.Tx) error {
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

// Conn begins the transaction: what is done on the connection is in it. When it
// cannot begin, the connection is closed.
func (t *handlerTx) Conn() *pgx.Conn {
	conn := t.conn
	err := t.using(context.Background(), func(context.Context, pgx.Tx) error { return nil })
	if err != nil && !errors.Is(err, ErrOver) { // then it is another's
		_ = conn.Close(context.Background())
	}
	return conn
}

// nestedTx is a savepoint.
type nestedTx struct{ *handlerTx }

func (n nestedTx) Commit(ctx context.Context) error {
	return n.using(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) })
}

func (n nestedTx) Rollback(ctx context.Context) error {
	return n.using(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) })
}

// using calls do with the begun transaction, in its turn.
func (t *handlerTx) using(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	ctx, err := t.enter(ctx)
	if err != nil {
		return err
	}
	defer t.s.leave()
	tx, err := t.begun(ctx)
	if err != nil {
		return err
	}
	return do(ctx, tx)
}

// enter waits for the turn. The statement is to use the context that it
// returns, which ends with the step at the latest.
func (t *handlerTx) enter(ctx context.Context) (context.Context, error) {
	s := t.s
	if s.until != nil && ctx.Done() != s.until.Done() {
		both, end := context.WithCancelCause(ctx)
		context.AfterFunc(s.until, func() { end(context.Cause(s.until)) }) // and a step always ends
		ctx = both
	}
	if err := s.enter(ctx); err != nil {
		return ctx, err
	}
	if ctx.Err() != nil {
		s.leave()
		return ctx, interrupted(ctx)
	}
	return ctx, nil
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
		s.failed = describe(err, t.conn.IsClosed())
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

// firstRows are those of a statement that was sent along: with them ends the
// batch.
type firstRows struct {
	pgx.Rows
	answers pgx.BatchResults
	closed  bool
	err     error
}

func (r *firstRows) Close() {
	r.Rows.Close()
	if !r.closed {
		r.closed = true
		r.err = r.answers.Close()
	}
}

func (r *firstRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

func (r *firstRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *firstRows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

func (r *firstRows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err != nil {
		r.Close()
	}
	return values, err
}

// noRows are those of a statement that was not sent.
type noRows struct {
	pgx.Rows
	err error
}

func (noRows) Close()                                       {}
func (r noRows) Err() error                                 { return r.err }
func (noRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (noRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (noRows) Next() bool                                   { return false }
func (r noRows) Scan(...any) error                          { return r.err }
func (r noRows) Values() ([]any, error)                     { return nil, r.err }
func (noRows) RawValues() [][]byte                          { return nil }
func (noRows) Conn() *pgx.Conn                              { return nil }

// oneRow is the first of some rows.
type oneRow struct{ rows pgx.Rows }

func (r oneRow) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

package sqlsession

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// goRows are the rows that a handler in Go reads. Each row is read in a turn of
// its own.
type goRows struct {
	rows pgx.Rows
	t    *goTx
	ctx  context.Context //nolint:containedctx // the statement's
	end  context.CancelFunc
	ran  func(pgconn.CommandTag, error) // called when the rows end
	err  error                          // why nothing was read
}

// turn calls do in the turn. If the turn cannot be taken, that is the error of
// the rows.
func (r *goRows) turn(do func() error) error {
	if err := r.t.takeTurn(r.ctx); err != nil {
		r.err = err
		return err
	}
	err := error(nil)
	defer func() { r.t.endTurn(r.ctx, err) }()
	err = do()
	return err
}

func (r *goRows) Next() (more bool) {
	_ = r.turn(func() error {
		more = r.rows.Next()
		return r.rows.Err()
	})
	if !more {
		r.end()
		r.ran(r.rows.CommandTag(), r.rows.Err())
	}
	return more
}

func (r *goRows) Close() {
	_ = r.turn(func() error {
		r.rows.Close()
		return r.rows.Err()
	})
	r.end()
	r.ran(r.rows.CommandTag(), r.rows.Err())
}

func (r *goRows) Scan(dest ...any) error {
	return r.turn(func() error { return r.rows.Scan(dest...) })
}

func (r *goRows) Values() (values []any, err error) {
	err = r.turn(func() (err error) {
		values, err = r.rows.Values()
		return err
	})
	return values, err
}

func (r *goRows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.rows.Err()
}

func (r *goRows) CommandTag() pgconn.CommandTag { return r.rows.CommandTag() }

func (r *goRows) FieldDescriptions() []pgconn.FieldDescription { return r.rows.FieldDescriptions() }

func (r *goRows) RawValues() [][]byte { return r.rows.RawValues() }

func (r *goRows) TypeMap() *pgtype.Map { return r.rows.TypeMap() }

func (r *goRows) Conn() *pgx.Conn { return r.t.Conn() }

// goResults are the results of a batch. Each is read in a turn of its own.
type goResults struct {
	results pgx.BatchResults
	t       *goTx
	ctx     context.Context //nolint:containedctx // the batch's
	end     context.CancelFunc
	ran     func(pgconn.CommandTag, error) // called when the results are closed
}

func (r *goResults) turn(do func() error) error {
	if err := r.t.takeTurn(r.ctx); err != nil {
		return err
	}
	err := error(nil)
	defer func() { r.t.endTurn(r.ctx, err) }()
	err = do()
	return err
}

func (r *goResults) Exec() (tag pgconn.CommandTag, err error) {
	err = r.turn(func() (err error) {
		tag, err = r.results.Exec()
		return err
	})
	return tag, err
}

func (r *goResults) Query() (rows pgx.Rows, err error) {
	err = r.turn(func() (err error) {
		rows, err = r.results.Query()
		return err
	})
	if err != nil {
		return noRows{err: err}, err
	}
	return &goRows{rows: rows, t: r.t, ctx: r.ctx, end: func() {}, ran: nothingRan}, nil
}

func (r *goResults) QueryRow() pgx.Row {
	rows, _ := r.Query() // the rows have the error
	return oneRow{rows}
}

func (r *goResults) Close() error {
	defer r.end()
	err := r.turn(r.results.Close)
	r.ran(pgconn.CommandTag{}, err)
	return err
}

// Tx is the step's transaction if the batch begins one; otherwise it is nil.
func (r *goResults) Tx() pgx.Tx {
	if r.results.Tx() == nil {
		return nil
	}
	return stepTx{r.t}
}

// firstRows are the rows of a statement that was sent along with the begin. When
// they end, they close the batch.
type firstRows struct {
	rows    pgx.Rows
	answers pgx.BatchResults
	closed  bool
	err     error
}

func (r *firstRows) Close() {
	r.rows.Close()
	if !r.closed {
		r.closed = true
		r.err = r.answers.Close()
	}
}

func (r *firstRows) Err() error {
	if err := r.rows.Err(); err != nil {
		return err
	}
	return r.err
}

func (r *firstRows) Next() bool {
	if r.rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *firstRows) Scan(dest ...any) error {
	err := r.rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

func (r *firstRows) Values() ([]any, error) {
	values, err := r.rows.Values()
	if err != nil {
		r.Close()
	}
	return values, err
}

func (r *firstRows) CommandTag() pgconn.CommandTag { return r.rows.CommandTag() }

func (r *firstRows) FieldDescriptions() []pgconn.FieldDescription { return r.rows.FieldDescriptions() }

func (r *firstRows) RawValues() [][]byte { return r.rows.RawValues() }

func (r *firstRows) TypeMap() *pgtype.Map { return r.rows.TypeMap() }

func (r *firstRows) Conn() *pgx.Conn { return r.rows.Conn() }

// noRows are the rows of a statement that was not sent.
type noRows struct{ err error }

func (noRows) Close()                                       {}
func (r noRows) Err() error                                 { return r.err }
func (noRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (noRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (noRows) Next() bool                                   { return false }
func (r noRows) Scan(...any) error                          { return r.err }
func (r noRows) Values() ([]any, error)                     { return nil, r.err }
func (noRows) RawValues() [][]byte                          { return nil }
func (noRows) TypeMap() *pgtype.Map                         { return nil }
func (noRows) Conn() *pgx.Conn                              { return nil }

// oneRow is the first row of a query.
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

package orchestration

import (
	"context"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/templates"
)

// errNoTransaction: the template says transaction: none.
var errNoTransaction = errors.WithHint(errors.New("the step has no transaction: its template says `transaction: none`"),
	"Take that line out of the template, or use a connection of the handler's own.")

// lazyTx is a step's transaction, begun when it is first asked for.
type lazyTx struct {
	pool *pgxpool.Pool
	step *templates.Step

	mu    sync.Mutex
	tx    pgx.Tx
	err   error
	ended bool
}

func (l *lazyTx) begin(ctx context.Context) (pgx.Tx, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return nil, errors.New("the step has ended, and its transaction with it")
	case l.step.Transaction == templates.TransactionNone:
		return nil, errNoTransaction
	case l.tx == nil && l.err == nil:
		l.tx, l.err = l.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(l.step.Isolation)})
		l.err = errors.Wrap(l.err, "beginning the step's transaction")
	}
	return l.tx, l.err
}

// end refuses further use and returns the transaction, nil if there is none.
func (l *lazyTx) end() pgx.Tx {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	return l.tx
}

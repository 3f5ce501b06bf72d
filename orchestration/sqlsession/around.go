package sqlsession

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Around has f called before each statement of Exec, of CopyIn, and of the transaction of a
// handler in Go. If f returns an error, the statement is not sent and fails as if its
// connection were lost. Otherwise f may return a function that is called when the statement
// has been run. Neither is called in the session's turn, so both may use the session. Around
// must come before the first statement. It is for tests that choose a statement for a fault.
func (s *Session) Around(f func(sql string) (after func(Traced), err error)) { s.around = f }

// announce calls the function of Around. It fails if that, or its own context, says that the
// statement is not to be sent.
func (s *Session) announce(ctx context.Context, sql string) (after func(Traced), err error) {
	after, err = s.around(sql)
	switch {
	case err != nil:
		return nil, describe(err, true)
	case ctx.Err() != nil:
		return nil, interrupted(ctx)
	case after == nil:
		after = func(Traced) {}
	}
	return after, nil
}

// announceGo announces statements of a handler in Go. Only the first call of ran counts.
func (t *goTx) announceGo(ctx context.Context, texts ...string) (ran func(tag pgconn.CommandTag, err error), _ error) {
	if t.s.around == nil {
		return nothingRan, nil
	}
	ctx, end := t.s.within(ctx)
	defer end()
	afters := make([]func(Traced), len(texts))
	for i, sql := range texts {
		var err error
		if afters[i], err = t.s.announce(ctx, sql); err != nil {
			return nothingRan, err
		}
	}
	began := time.Now()
	var once sync.Once
	return func(tag pgconn.CommandTag, err error) {
		once.Do(func() {
			for i, after := range afters {
				after(Traced{SQL: texts[i], Took: time.Since(began), Rows: tag.RowsAffected(), Tag: tag.String(), Err: err})
			}
		})
	}, nil
}

func nothingRan(pgconn.CommandTag, error) {}

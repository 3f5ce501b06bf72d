package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// gone is the error of a run whose database does not answer any more.
func (l *lazyPool) gone(task int64, code codeFlags) error {
	what := l.place() + " does not answer any more"
	in := fmt.Sprintf("; task %d is in it, with the steps it has done", task)
	if l.db.local == nil {
		return errors.WithHintf(errors.New(what+in),
			"When that server is back, `tasker-rb run --task %d%s` goes on with the task, or a `tasker-rb worker%s` does; "+
				"`tasker-rb tasks cancel %[1]d` ends it.", task, code.run, code.worker)
	}
	hint := "`tasker-rb doctor` says what ails it."
	if cause := l.db.local.Trouble(); cause != nil {
		what += ": " + plain(cause.Error())
		hint = cmp.Or(hintLine(errors.FlattenHints(cause)), hint)
	}
	if l.discarded() {
		return errors.WithHint(errors.New(what), hint)
	}
	return errors.WithHintf(errors.New(what+in), "%s Then `tasker-rb run --task %d%s` goes on with the task; `tasker-rb tasks cancel %[2]d` ends it.", hint, task, code.run)
}

// untilDatabaseGone returns a context that ends with ErrDatabaseGone when the
// database has not answered for three times its connect timeout. So the command
// waits for a restart, but not forever.
func untilDatabaseGone(ctx context.Context, pool *pgxpool.Pool) (context.Context, context.CancelFunc) {
	timeout := pool.Config().ConnConfig.ConnectTimeout
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(timeout / 4)
		defer tick.Stop()
		for answered := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			attempt, stop := context.WithTimeout(ctx, timeout)
			err := pool.Ping(attempt)
			stop()
			if err == nil {
				answered = time.Now()
			} else if time.Since(answered) > 3*timeout {
				cancel(orchestration.ErrDatabaseGone)
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

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

package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
)

// settle is how long recording what happened may take after the engine was told
// to stop.
const settle = 10 * time.Second

// ErrDatabaseGone is for the cause of a context that ends because the database
// is not waited for any more. [Engine.Run] then returns as soon as its handlers
// have: what cannot be recorded at once is left to whoever takes the task over.
var ErrDatabaseGone = errors.New("the database does not answer any more")

// untilGone gives a context that ends when one of the statements learns that the
// database is gone.
func untilGone(group []*statement) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	stops := make([]func() bool, len(group))
	for i, s := range group {
		stops[i] = context.AfterFunc(s.ctx, func() {
			if errors.Is(context.Cause(s.ctx), ErrDatabaseGone) {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// settling gives the context in which to record what came of an attempt. For as
// long as ctx lasts, so does it: results are not thrown away because the
// database is away. After that there is some time left, but for a database that
// is gone.
func settling(ctx context.Context, left time.Duration) (context.Context, context.CancelFunc) {
	recording, end := context.WithCancelCause(context.WithoutCancel(ctx))
	cancel := func() { end(nil) }
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrDatabaseGone) {
			end(ErrDatabaseGone)
			return
		}
		timer := time.AfterFunc(left, cancel)
		context.AfterFunc(recording, func() { timer.Stop() })
	})
	return recording, func() { stop(); cancel() }
}

package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
)

// stopTimeout is how long the engine's own statements may continue after it was told
// to stop. It also bounds the commit of a step's own transaction, and the wake-up of
// steps that wait for a permit.
const stopTimeout = 10 * time.Second

// ErrDatabaseGone is a cause for a context that ends because the database no
// longer answers. [Engine.Run] then returns as soon as its handlers have returned, and so
// does [Engine.Work], which interrupts them. It leaves unrecorded outcomes to the engine that takes the task over.
var ErrDatabaseGone = errors.New("the database does not answer any more")

// outliving returns a context that ends timeout after ctx. A stop then loses neither
// results nor leases. While ctx lasts there is no limit: an outage of the database
// does not lose them either.
//
// If ctx ends with [ErrDatabaseGone], the returned context ends at once.
func outliving(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	longer, end := context.WithCancelCause(context.WithoutCancel(ctx))
	cancel := func() { end(nil) }
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrDatabaseGone) {
			end(ErrDatabaseGone)
			return
		}
		timer := time.AfterFunc(timeout, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel() }
}

// untilGone returns a context that ends when the context of one of the requests
// ends with [ErrDatabaseGone].
func untilGone(group []groupRequest) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	stops := make([]func() bool, len(group))
	for i, r := range group {
		caller := r.base().ctx
		stops[i] = context.AfterFunc(caller, func() {
			if errors.Is(context.Cause(caller), ErrDatabaseGone) {
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

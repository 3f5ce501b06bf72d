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

// settling gives the context in which to record what came of an attempt. For as
// long as ctx lasts, so does it: results are not thrown away because the
// database is away. After that there is some time left, but for a database that
// is gone.
func settling(ctx context.Context, left time.Duration) (context.Context, context.CancelFunc) {
	recording, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrDatabaseGone) {
			cancel()
			return
		}
		timer := time.AfterFunc(left, cancel)
		context.AfterFunc(recording, func() { timer.Stop() })
	})
	return recording, func() { stop(); cancel() }
}

package sqlsession

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// hardStop is how long a statement may go on after the server was asked to
// cancel it. Then the connection is closed.
const hardStop = 2 * time.Second

// guard cancels the statement under way when ctx ends. Call the returned
// function after the statement; it reports whether the statement was cancelled.
func (c *connection) guard(ctx context.Context) (done func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	g := &cancellation{pg: c.pg()}
	stop := context.AfterFunc(ctx, g.cancel)
	return func() bool {
		if stop() {
			return false
		}
		g.await()
		c.stale = true // the cancel request may still hit the next statement
		return true
	}
}

// cancellation cancels one statement. Its channels are made only when they are
// needed, for few statements are cancelled.
type cancellation struct {
	pg              *pgconn.PgConn
	mu              sync.Mutex
	over, cancelled chan struct{}
}

func (g *cancellation) signals() (over, cancelled chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over == nil {
		g.over, g.cancelled = make(chan struct{}), make(chan struct{})
	}
	return g.over, g.cancelled
}

// cancel asks the server to cancel the statement, and closes the connection if
// the statement does not end within hardStop.
func (g *cancellation) cancel() {
	over, cancelled := g.signals()
	defer close(cancelled)
	asking, cancel := context.WithTimeout(context.Background(), hardStop)
	defer cancel()
	_ = g.pg.CancelRequest(asking) // if that fails, the connection is closed below
	late := time.NewTimer(hardStop)
	defer late.Stop()
	select {
	case <-over:
	case <-late.C:
		_ = g.pg.Conn().SetDeadline(time.Unix(1, 0))
	}
}

// await tells cancel that the statement is over, and waits until cancel has
// returned.
func (g *cancellation) await() {
	over, cancelled := g.signals()
	close(over)
	<-cancelled
}

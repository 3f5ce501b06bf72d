package orchestration

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
)

// waker wakes the workers after a submission has committed. A NOTIFY inside the
// submission would take a lock that lets one such transaction commit at a time, and
// PostgreSQL could not write many commits to disk at once. Submissions that come while
// one NOTIFY is under way share the next.
type waker struct {
	own    *ownBatches
	logger *slog.Logger
	due    chan struct{}
	ended  chan struct{}
}

func startWaker(own *ownBatches, logger *slog.Logger) *waker {
	w := &waker{own: own, logger: logger, due: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for range w.due {
			if err := w.wake(context.Background()); err != nil {
				w.logger.Warn("the workers could not be woken; they look by themselves", "error", err)
			}
		}
	}()
	return w
}

func (w *waker) wake(ctx context.Context) error {
	var batch pgx.Batch
	batch.Queue(notifyWakeSQL)
	return w.own.short(ctx, &batch)
}

// close wakes the workers if that is still due.
func (w *waker) close() {
	close(w.due)
	<-w.ended
}

// Wake wakes the workers of the database. It is for submissions with NoWake: call it
// after the commit of their transaction. Without it, workers find the tasks at their
// next Poll.
func (e *Engine) Wake(ctx context.Context) error { return e.waker.wake(ctx) }

package runner

import (
	"context"
	"os"
	"sync"
	"syscall"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"
)

// spareThreads is how many threads Go gets at the start. A call of C or a slow system call
// can need one more at any time, and Go keeps it: its 20 KB would look like growth, one
// thread at a time over hours.
const spareThreads = 32

// makeThreads makes Go start its threads now.
func makeThreads() error {
	r, w, err := os.Pipe()
	if err != nil {
		return errors.WithStack(err)
	}
	fd := int(r.Fd()) // blocking from now on
	var begun, ended sync.WaitGroup
	for range spareThreads {
		begun.Add(1)
		ended.Go(func() {
			begun.Done()
			_, _ = syscall.Read(fd, make([]byte, 1)) // until the pipe is closed
		})
	}
	begun.Wait()
	err = w.Close()
	ended.Wait()
	return errors.CombineErrors(errors.WithStack(err), errors.WithStack(r.Close()))
}

// spareGoroutines is how many goroutines Go gets at the start. It keeps what describes one, for
// ever, so a moment in which more of them are under way than ever before looks like growth.
const spareGoroutines = 500

// makeGoroutines makes Go have so many goroutines at once.
func makeGoroutines() {
	release := make(chan struct{})
	var ended sync.WaitGroup
	for range spareGoroutines {
		ended.Go(func() { <-release })
	}
	close(release)
	ended.Wait()
}

// makeConnections makes the pool open all its connections now: one that is opened late, when
// many steps ask for it at once, looks like a leak of a hundred KB that has just begun.
func makeConnections(ctx context.Context, pool *pgxpool.Pool) error {
	var held []*pgxpool.Conn
	defer func() {
		for _, c := range held {
			c.Release()
		}
	}()
	for pool.Stat().TotalConns() < pool.Config().MaxConns {
		c, err := pool.Acquire(ctx)
		if err != nil {
			return errors.Wrap(err, "opening the pool's connections")
		}
		held = append(held, c)
	}
	return nil
}

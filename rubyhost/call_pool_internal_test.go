package rubyhost

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A call that is larger than a cache line would share one with its neighbour.
func TestCallFillsOneCacheLine(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 64, unsafe.Sizeof(call{}))
}

// There are more goroutines than calls. No two goroutines hold the same call,
// and no call is lost.
func TestCallPool(t *testing.T) {
	t.Parallel()
	const calls, goroutines, turns = 5, 16, 3000
	pool := newCallPool(calls)
	var held [calls]atomic.Int32
	var left atomic.Int32
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range turns {
				c := pool.take()
				if c == nil {
					ctx, cancel := context.WithCancel(t.Context())
					if (g+i)%7 == 0 {
						cancel() // leaves at once, and perhaps a call behind
					}
					waiting, done := pool.wait()
					select {
					case c = <-waiting:
					case <-ctx.Done():
						left.Add(1)
					case <-time.After(time.Minute):
						t.Error("a call was lost")
					}
					done()
					cancel()
				}
				if c != nil {
					if held[c.number].Add(1) != 1 {
						t.Error("two goroutines hold one call")
					}
					held[c.number].Add(-1)
					pool.put(c)
				}
			}
		})
	}
	all.Wait()
	found := len(pool.handed)
	for pool.take() != nil {
		found++
	}
	require.Equal(t, calls, found)
	require.Zero(t, pool.waiting.Load())
}

package rubyhost

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// More goroutines than slots: no slot is in two hands, and none is lost.
func TestFreeSlots(t *testing.T) {
	t.Parallel()
	const slots, goroutines, turns = 5, 16, 3000
	free := newFreeSlots(slots)
	var held [slots]atomic.Int32
	var left atomic.Int32
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range turns {
				slot, ok := free.take()
				if !ok {
					ctx, cancel := context.WithCancel(t.Context())
					if (g+i)%7 == 0 {
						cancel() // leaves at once, and perhaps a slot behind
					}
					waiting, done := free.wait()
					select {
					case slot = <-waiting:
						ok = true
					case <-ctx.Done():
						left.Add(1)
					case <-time.After(time.Minute):
						t.Error("a slot was lost")
					}
					done()
					cancel()
				}
				if ok {
					if held[slot].Add(1) != 1 {
						t.Error("a slot in two hands")
					}
					held[slot].Add(-1)
					free.put(slot)
				}
			}
		})
	}
	all.Wait()
	found := len(free.handed)
	for {
		if _, ok := free.take(); !ok {
			break
		}
		found++
	}
	require.Equal(t, slots, found)
	require.Zero(t, free.waiting.Load())
}

package runner

import (
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGoHeap has Go do what makes its runtime keep memory: many goroutines at once, which
// wait for several channels. Nothing of that is growth, and a few KB that are kept are.
func TestGoHeap(t *testing.T) {
	kept = nil
	makeGoroutines()
	work := func() {
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() {
				done, never := make(chan struct{}), make(chan struct{})
				go close(done)
				select {
				case <-done:
				case <-never:
				}
			})
		}
		all.Wait()
	}
	median := func() int64 {
		var list []int64
		for range 5 {
			work()
			list = append(list, goHeap())
		}
		slices.Sort(list)
		return list[2]
	}
	goHeap()
	before := median()
	for range 100 {
		work()
	}
	require.InDelta(t, before, median(), 1000)
	kept = make([]byte, 8<<10)
	require.InDelta(t, before+int64(len(kept)), median(), 1000)
}

var kept []byte

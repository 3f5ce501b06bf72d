package orchestration

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
)

// garbage counts the bytes of large results that have left the memory. On its way, each is
// in some four buffers. Go would let these grow to as much as all that is alive, and then
// keep the memory for a while. The sum of a few results of 20 MB is a gigabyte so.
type garbage struct {
	bytes      atomic.Int64
	collecting atomic.Bool
}

// garbageAtLeast is how many bytes of results are worth a collection, if not much is alive.
const garbageAtLeast = 32 << 20

// add has Go collect the garbage if there is much of it, compared with what is alive.
func (g *garbage) add(bytes int) {
	if bytes <= smallResult || g.bytes.Add(int64(bytes)) < garbageAtLeast+liveBytes()/4 || !g.collecting.CompareAndSwap(false, true) {
		return
	}
	g.bytes.Store(0)
	go func() {
		runtime.GC()
		g.collecting.Store(false)
	}()
}

// liveBytes is what Go's last collection has left.
func liveBytes() int64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(live[0].Value.Uint64())
}

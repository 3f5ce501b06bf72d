package orchestration

import (
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// garbage counts the bytes that large results leave behind. Go would let them grow to as
// much as all that is alive, and keep the memory for a while: with a few results of 20 MB
// that is a gigabyte.
type garbage struct {
	bytes      atomic.Int64
	collecting atomic.Bool
}

const (
	// garbageCopies is in how many buffers a result is on its way to the database, or back.
	garbageCopies = 4
	// garbageAtLeast is how much garbage is worth a collection, if not much is alive.
	garbageAtLeast = 64 << 20
)

// add has Go collect the garbage if a result has left much of it, compared with what is
// alive.
func (g *garbage) add(bytes int) {
	if bytes <= smallResult || g.bytes.Add(garbageCopies*int64(bytes)) < garbageAtLeast+liveBytes()/4 || !g.collecting.CompareAndSwap(false, true) {
		return
	}
	g.bytes.Store(0)
	go func() {
		debug.FreeOSMemory()
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

package runner

import (
	"context"
	"runtime"
	"strconv"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/procstat"
	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// sample waits for a quiet point and takes a sample.
func (r *runner) sample(ctx context.Context) (*soak.Sample, error) {
	began := time.Now()
	s := &soak.Sample{Tasks: r.tasks, Values: map[string]int64{}}
	if r.engine != nil {
		if r.spec.CancelEvery > 0 { // a step of a task that was cancelled may not have stopped yet
			if err := r.awaitQuiet(ctx); err != nil {
				return nil, err
			}
		}
		if err := r.engine.empty(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.awaitQuiet(ctx); err != nil {
		return nil, err
	}
	s.Calls, s.Steps = r.calls.now()
	v := s.Values
	if r.engine != nil { // comes first: it makes the connections alike
		var err error
		if v[soak.Connections], v[soak.PreparedStatements], err = r.engine.connections(ctx); err != nil {
			return nil, err
		}
	}
	runtime.GC() // finalizers of Go may free native memory
	memory, err := r.host.Memory(ctx, rubyhost.MemoryOptions{Collect: true, Objects: true})
	if err != nil {
		return nil, err
	}
	stat, err := procstat.Read()
	if err != nil {
		return nil, err
	}
	v[soak.MallocInUse] = int64(memory.MallocInUse)
	v[soak.MallocFree] = int64(memory.MallocFree)
	v[soak.RubySlots] = int64(memory.SlotBytes)
	v[soak.LiveSlots] = int64(memory.LiveSlots)
	v[soak.OldObjects] = int64(memory.OldObjects)
	v[soak.MallocIncrease] = int64(memory.MallocIncrease)
	v[soak.ObjectMemory] = int64(memory.ObjectMemory)
	v[soak.BridgeAllocations] = int64(memory.BridgeAllocations)
	v[soak.BridgeBytes] = int64(memory.BridgeBytes)
	for kind, n := range memory.SlotsByType {
		v[soak.SlotsOfType+kind] = int64(n)
	}
	for size, n := range memory.SlotsByPool {
		v[soak.SlotsOfPool+strconv.FormatUint(size, 10)] = int64(n)
	}
	v[soak.RSS], v[soak.PSS] = int64(stat.RSS), int64(stat.PSS)
	v[soak.Threads], v[soak.Descriptors] = int64(stat.Threads), int64(stat.Descriptors)
	v[soak.ReplacedThreads] = int64(r.host.Stats().Respawns)
	v[soak.GoHeap] = goHeap()
	v[soak.Goroutines] = int64(runtime.NumGoroutine())
	s.Sampling = time.Since(began)
	return s, nil
}

// settle bounds the wait for a quiet point.
const settle = 3 * time.Second

// awaitQuiet waits until no call is under way and the number of goroutines stays the same
// for a moment. Timers and the worker's maintenance may go on; so it is no error when the
// number never rests.
func (r *runner) awaitQuiet(ctx context.Context) error {
	until := time.Now().Add(settle)
	before, same := -1, 0
	for same < 3 && time.Now().Before(until) {
		if n := runtime.NumGoroutine(); n == before && r.host.Stats().InFlight == 0 {
			same++
		} else {
			before, same = n, 0
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

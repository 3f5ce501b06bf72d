//go:build planted

package rubyhost_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

const plantedCalls = 1000

type plantedGrowth struct{ Allocations, Bytes, Native, GoHeap int64 }

func init() {
	children["planted"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1})
		must(serveMixed(h))
		mustEval(h, `class Asks < Tasker::StepHandler::Base; def process(*) = Tasker::Host.ask("echo", "x" * 40); end; nil`)
		handler, err := h.Handler(context.Background(), "Asks")
		must(err)
		measure := func() (rubyhost.Memory, uint64) {
			m := mustMeasure(h, fullCollections)
			var goes runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&goes)
			return m, goes.HeapAlloc
		}
		call := func(n int) {
			for range n {
				_, err := runFor(handler, time.Minute)
				must(err)
			}
		}
		call(plantedCalls)
		before, goBefore := measure()
		call(plantedCalls)
		after, goAfter := measure()
		report(plantedGrowth{
			int64(after.BridgeAllocations - before.BridgeAllocations), int64(after.BridgeBytes - before.BridgeBytes),
			int64(after.MallocInUse - before.MallocInUse), int64(goAfter - goBefore),
		})
		must(h.Close())
	}
}

// Each plant leaks where it says, and nowhere else.
func TestPlanted(t *testing.T) {
	t.Parallel()
	const little = 32 << 10
	for plant, check := range map[string]func(g plantedGrowth){
		"": func(g plantedGrowth) {
			require.Zero(t, g.Allocations)
			require.Less(t, max(g.Native, g.GoHeap), int64(little))
		},
		"request": func(g plantedGrowth) {
			require.EqualValues(t, 2*plantedCalls, g.Allocations, "a request and its answer")
			require.Greater(t, g.Bytes, int64(100*plantedCalls))
			require.InDelta(t, g.Bytes+8*g.Allocations, g.Native, little)
			require.Less(t, g.GoHeap, int64(little))
		},
		"gomap": func(g plantedGrowth) {
			require.Zero(t, g.Allocations)
			require.Less(t, g.Native, int64(little))
			require.Greater(t, g.GoHeap, int64(64*plantedCalls))
		},
		"native": func(g plantedGrowth) {
			require.Zero(t, g.Allocations)
			require.InDelta(t, 80*plantedCalls, g.Native, little)
			require.Less(t, g.GoHeap, int64(little))
		},
	} {
		var g plantedGrowth
		memoryChild(t, "planted", &g, "TASKER_PLANT="+plant)
		t.Logf("%q: %+v", plant, g)
		check(g)
	}
}

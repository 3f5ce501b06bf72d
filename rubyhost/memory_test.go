package rubyhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Each runs in a process of its own: in the tests' process others allocate too.
func memoryChild(t *testing.T, name string, into any, env ...string) {
	t.Helper()
	out, err := inChild(t, name, env...)
	require.NoError(t, err, out)
	require.NoError(t, json.Unmarshal([]byte(out), into), out)
}

func report(value any) {
	out, err := json.Marshal(value)
	must(err)
	fmt.Println(string(out))
}

var fullCollections = rubyhost.MemoryOptions{Collect: true}

func mustMeasure(h *rubyhost.Host, o rubyhost.MemoryOptions) rubyhost.Memory {
	m, err := h.Memory(context.Background(), o)
	must(err)
	return m
}

func mustEval(h *rubyhost.Host, source string) {
	_, err := h.Eval(context.Background(), source, "memory.rb")
	must(err)
}

func init() {
	children["memory that stays"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1})
		for range 3 { // fills Ruby's inline caches
			mustMeasure(h, fullCollections)
		}
		measured := []rubyhost.Memory{mustMeasure(h, fullCollections)}
		for range effort.Of(29, 99) {
			mustMeasure(h, fullCollections)
		}
		measured = append(measured, mustMeasure(h, fullCollections))
		report(measured)
		must(h.Close())
	}
	children["memory that grows"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1})
		all := rubyhost.MemoryOptions{Collect: true, Objects: true}
		mustEval(h, `HELD = []; nil`)
		for range 3 {
			mustMeasure(h, all)
		}
		measured := []rubyhost.Memory{mustMeasure(h, all)}
		for _, source := range []string{
			`10_000.times { HELD << Object.new }; nil`,
			`100.times { HELD << ("x" * 98_000) }; nil`, // as much of jemalloc as of glibc
			`HELD << ("x" * 83_886_000); nil`,           // malloc gives it a mapping of its own
			`HELD.clear; nil`,
		} {
			mustEval(h, source)
			measured = append(measured, mustMeasure(h, all))
		}
		report(measured)
		must(h.Close())
	}
	children["memory of the bridge"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 2, Logger: slog.New(slog.DiscardHandler)})
		handlers := mixedHandlers(h)
		settle := func() rubyhost.Memory {
			var last rubyhost.Memory
			// A call that its caller left comes back later. Until then, one more of them
			// has a job and a result, for good.
			must(until(func() bool { return h.CallsAway() == 0 }))
			for same := 0; same < 3; {
				// So many calls at once, that each of them has its job and its result again, and
				// each thread its buffer.
				for range 2 {
					must(os.RemoveAll(os.Getenv("TEST_TOGETHER")))
					must(each(callsAtOnce+1, callsAtOnce+1, allTogether(h)))
				}
				m := mustMeasure(h, rubyhost.MemoryOptions{})
				if s := h.Stats(); m.BridgeAllocations == last.BridgeAllocations && s.Abandoned == 0 && s.Requests == 0 && s.Threads == 2 {
					same++
				} else {
					same = 0
				}
				last = m
			}
			return last
		}
		runMixed(h, handlers, effort.Of(5, 20)*len(handlers))
		measured := []rubyhost.Memory{settle()}
		runMixed(h, handlers, effort.Of(15, 100)*len(handlers))
		measured = append(measured, settle())
		report(measured)
		must(h.Close())
	}
}

// allTogether returns a function that makes a call which ends when all callsAtOnce are
// under way. Called once more, it sees to that.
func allTogether(h *rubyhost.Host) func() error {
	var calls atomic.Int32
	return func() error {
		if calls.Add(1) <= callsAtOnce {
			_, err := h.Eval(context.Background(), `sleep 0.001 until File.exist?(ENV.fetch("TEST_TOGETHER"))`, "memory.rb")
			return err
		}
		must(until(func() bool { return h.Stats().InFlight == callsAtOnce }))
		return os.WriteFile(os.Getenv("TEST_TOGETHER"), nil, 0o600)
	}
}

// callsAtOnce are more than the tests of mixedCalls have under way, one after the other.
const callsAtOnce = 8

// mixedHandlers are those of mixedCalls, on a host of its own.
func mixedHandlers(h *rubyhost.Host) []*rubyhost.Handler {
	must(serveMixed(h))
	handlers := make([]*rubyhost.Handler, len(mixedCalls))
	for i, c := range mixedCalls {
		mustEval(h, fmt.Sprintf("class Mixed%d < Tasker::StepHandler::Base; def process(task, sequence, step)\n%s\nend; end; nil", i, c.body))
		var err error
		handlers[i], err = h.Handler(context.Background(), fmt.Sprintf("Mixed%d", i))
		must(err)
	}
	return handlers
}

func runMixed(h *rubyhost.Host, handlers []*rubyhost.Handler, calls int) {
	for n := range calls {
		i := n % len(handlers)
		limit := time.Minute
		if mixedCalls[i].class == "interrupted" {
			limit = time.Duration(n%4) * time.Millisecond
		}
		if _, err := runFor(handlers[i], limit); endedAs(err) != mixedCalls[i].class {
			fmt.Println(mixedCalls[i].name, "ended as", err)
			os.Exit(1)
		}
	}
}

// Measuring is not what grows.
func TestMemoryLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	var m []rubyhost.Memory
	memoryChild(t, "memory that stays", &m)
	require.Equal(t, m[0].LiveSlots, m[1].LiveSlots)
	require.Equal(t, m[0].SlotsByType, m[1].SlotsByType)
	require.Equal(t, m[0].SlotsByPool, m[1].SlotsByPool)
	require.Equal(t, m[0].SlotBytes, m[1].SlotBytes)
	require.Equal(t, m[0].BridgeAllocations, m[1].BridgeAllocations)
	require.InDelta(t, m[0].MallocInUse, m[1].MallocInUse, 64<<10)
}

// Each kind of memory shows in the measure that is about it.
func TestMemoryShowsWhatGrows(t *testing.T) {
	t.Parallel()
	var m []rubyhost.Memory
	memoryChild(t, "memory that grows", &m)
	grown := func(i int, of func(rubyhost.Memory) uint64) int64 { return int64(of(m[i])) - int64(of(m[i-1])) }
	live := func(m rubyhost.Memory) uint64 { return m.LiveSlots }
	slots := func(m rubyhost.Memory) uint64 { return m.SlotBytes }
	native := func(m rubyhost.Memory) uint64 { return m.MallocInUse }
	ofObjects := func(m rubyhost.Memory) uint64 { return m.ObjectMemory }

	require.InDelta(t, 10_000, grown(1, live), 200, "objects")
	require.InDelta(t, 10_000, int64(m[1].SlotsByType["T_OBJECT"])-int64(m[0].SlotsByType["T_OBJECT"]), 20)
	// Objects without variables have the smallest slots. CRuby 3.2 does not say which pool has
	// how many live slots, so there they count as slots of the mean size.
	require.Greater(t, grown(1, slots), int64(390_000))
	require.Less(t, grown(1, slots), int64(10_000*float64(m[0].SlotBytes)/float64(m[0].LiveSlots))+100_000)
	require.InDelta(t, 9_800_000, grown(2, native), 600_000, "buffers of strings")
	require.InDelta(t, 9_800_000, grown(2, ofObjects), 100_000)
	require.InDelta(t, 100, int64(m[2].SlotsByType["T_STRING"])-int64(m[1].SlotsByType["T_STRING"]), 50)
	require.InDelta(t, 83_886_000, grown(3, native), 600_000, "a buffer with a mapping of its own")
	require.InDelta(t, 83_886_000, grown(3, ofObjects), 100_000)
	require.InDelta(t, m[0].LiveSlots, m[4].LiveSlots, 200, "all of it is gone")
	require.InDelta(t, m[0].ObjectMemory, m[4].ObjectMemory, 200_000)
	require.InDelta(t, m[0].MallocInUse, m[4].MallocInUse, 1_000_000)
	require.Regexp(t, `^(glibc|jemalloc) \d+\.\d+`, m[0].Allocator)
	for _, one := range m {
		var sum uint64
		for count := range maps.Values(one.SlotsByType) {
			sum += count
		}
		require.InDelta(t, one.LiveSlots, sum, 20, "the types are of all live slots")
		require.GreaterOrEqual(t, one.SlotBytes, one.LiveSlots*slices.Min(slices.Collect(maps.Keys(one.SlotsByPool))))
	}
}

// Every way through the bridge frees what it allocates: errors, timeouts, kills,
// questions and log lines too.
func TestBridgeFreesWhatItAllocates(t *testing.T) {
	t.Parallel()
	var m []rubyhost.Memory
	memoryChild(t, "memory of the bridge", &m, "TEST_TOGETHER="+filepath.Join(t.TempDir(), "together"))
	require.Equal(t, m[0].BridgeAllocations, m[1].BridgeAllocations)
	require.InDelta(t, m[0].BridgeBytes, m[1].BridgeBytes, 200_000) // buffers are of several sizes
	require.EqualValues(t, 2*callsAtOnce+2*2, m[0].BridgeAllocations, "jobs and results; workers and their buffers")
}

// While one handler keeps Ruby's lock, nothing in Ruby would answer. The handler tells
// from when to when it kept the lock. One answer that waited could come between its last
// two lines, three could not.
func TestMallocDoesNotWaitForRuby(t *testing.T) {
	handler := processBody(t, `
		number = 7**700_000
		clock = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond) }
		kept = [clock.call]
		Integer.sqrt(number)
		kept << clock.call`)
	// A busy machine may let nobody ask meanwhile. Then the handler runs again.
	for tries := 0; mallocAnswersDuring(t, handler) < 3; tries++ {
		require.Less(t, tries, 20, "it never answers")
	}
}

// mallocAnswersDuring counts the answers while the handler keeps Ruby's lock.
func mallocAnswersDuring(t *testing.T, handler *rubyhost.Handler) int {
	var kept [2]int64
	ended := make(chan error, 1)
	go func() {
		out, err := run(t, handler)
		ended <- errors.Join(err, json.Unmarshal([]byte(out), &kept))
	}()
	var answers [][2]int64
	for {
		select {
		case err := <-ended:
			require.NoError(t, err)
			return len(slices.DeleteFunc(answers, func(a [2]int64) bool { return a[0] < kept[0] || a[1] > kept[1] }))
		default:
			asked := monotonic(t)
			inUse, _, ok := host.Malloc()
			require.True(t, ok)
			require.Greater(t, inUse, uint64(1<<20))
			answers = append(answers, [2]int64{asked, monotonic(t)})
		}
	}
}

// monotonic is the time of the clock that Ruby's handlers read, in nanoseconds.
func monotonic(t *testing.T) int64 {
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano()
}

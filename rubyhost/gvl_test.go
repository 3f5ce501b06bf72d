package rubyhost_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Since 3.3 CRuby says when a thread waits for its lock.
func rubySaysWhoWaits(t testing.TB) bool {
	return eval(t, `RUBY_VERSION >= "3.3"`) == "true"
}

const computing = "def compute(s)\n t = Process.clock_gettime(Process::CLOCK_MONOTONIC) + s\n nil while Process.clock_gettime(Process::CLOCK_MONOTONIC) < t\nend"

func TestStatsSayHowLongThreadsWaitForTheGVL(t *testing.T) {
	says := rubySaysWhoWaits(t)
	h := handlerClass(t, computing+"\ndef process(task, sequence, step)\ncompute(0.1); :ok\nend")
	// Each computes for 0.1 s by the clock, while at most one has the lock. On a busy
	// machine they may begin one after the other, and then they try again.
	for tries := range 20 {
		before, began := host.Stats(), time.Now()
		done := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := h.Run(context.Background(), aStep())
				done <- err
			}()
		}
		for range 3 {
			require.NoError(t, <-done)
		}
		eval(t, "nil") // whoever had to wait at the end has counted it
		took, after := time.Since(began), host.Stats()
		waits, waited := after.GVLWaits-before.GVLWaits, after.GVLWaited-before.GVLWaited
		t.Logf("%d waits, %v in %v", waits, waited, took)
		if !says {
			require.Zero(t, after.GVLWaits)
			require.Zero(t, after.GVLWaited)
			return
		}
		require.Less(t, waited, 12*took, "no more threads can have waited: 8 workers, the main thread and those of the tests")
		if waits >= 2 && waited > 20*time.Millisecond {
			return
		}
		require.Less(t, tries, 19, "nobody has waited")
	}
}

// A thread that computes beside others that wait for something else is left alone
// where CRuby says so. An older one does not: there it gives way each time.
func TestNoTurnsWhenNobodyWaits(t *testing.T) {
	says := rubySaysWhoWaits(t)
	eval(t, "$waiting, $let_go = Queue.new, Queue.new; nil")
	waits := processBody(t, "$waiting << 1; $let_go.pop; :ok")
	computes := handlerClass(t, computing+"\ndef process(task, sequence, step)\ncompute(0.3); :ok\nend")
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := waits.Run(context.Background(), aStep())
			done <- err
		}()
	}
	eval(t, "2.times { $waiting.pop }; nil")
	before, turns := host.Stats(), uint64(0)
	for tries := 0; tries == 0 || !says && turns < 4 && tries < 20; tries++ { // a busy machine lets it compute less
		_, err := run(t, computes)
		require.NoError(t, err)
		turns = host.Stats().Yields - before.Yields
	}
	eval(t, "2.times { $let_go << 1 }; nil")
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	if says {
		require.LessOrEqual(t, turns, uint64(3), "some thread may have waited for a moment")
	} else {
		require.GreaterOrEqual(t, turns, uint64(4))
	}
}

func init() {
	children["workers on used threads"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 2})
		_, err := h.Eval(context.Background(), `
			class ::Leaves
				def process(*) = (4.times.map { Thread.new { 1 } }.each(&:join); Thread.exit)
			end
			class ::Computes
				`+computing+`
				def process(*) = (compute(0.2); :ok)
			end
			nil`, "used.rb")
		must(err)
		leaves, err := h.Handler(context.Background(), "Leaves")
		must(err)
		computes, err := h.Handler(context.Background(), "Computes")
		must(err)
		for range 10 {
			_, _ = runFor(leaves, 10*time.Second) // the worker's thread was killed, and another one takes its place
		}
		turns := uint64(0)
		for tries := 0; turns < 4 && tries < 20; tries++ {
			before := h.Stats()
			must(each(2, 4, func() error { _, err := runFor(computes, 10*time.Second); return err }))
			turns = h.Stats().Yields - before.Yields
		}
		fmt.Println("turns:", turns >= 4)
		must(h.Close())
	}
}

// CRuby uses the native threads of threads that have ended again, also for workers. Those take
// turns like all others.
func TestWorkersOnUsedNativeThreadsTakeTurns(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "workers on used threads")
	require.NoError(t, err, out)
	require.Contains(t, out, "turns: true\n")
}

// A forked child inherits what listens to the GVL, and what is stored in its thread.
func TestForkedChildHasItsThreads(t *testing.T) {
	honest := besideHonestCalls(t, 4)
	out, err := run(t, processBody(t, `
		statuses = 5.times.map do
			pid = fork do
				sum = 4.times.map { Thread.new { (1..50_000).sum { |i| i % 7 } } }.sum(&:value)
				exit!(sum == 4 * (1..50_000).sum { |i| i % 7 } ? 7 : 1)
			end
			Process.wait2(pid).last.exitstatus
		end
		statuses`))
	require.NoError(t, err)
	require.Equal(t, "[7,7,7,7,7]", out)
	honest.requireRight(t)
}

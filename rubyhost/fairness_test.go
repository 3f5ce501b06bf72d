package rubyhost_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
)

// How late honest calls are beside threads that compute, while the step that
// made them runs, and after it has ended. docs/rubyhost.md has the figures. The bound is on
// what the process computes meanwhile: a busy machine takes longer, and does not change that.
func TestHonestCallsBesideThreadsThatCompute(t *testing.T) {
	for _, n := range []int{2, 10, 100} {
		for _, c := range []struct{ name, body string }{
			{"during", "%d.times { Thread.new { loop {} } }; $computing << 1; $let_go.pop; :ok"},
			{"kept", "$kept = []; %d.times { Tasker.keep_thread { $kept << Thread.new { loop {} } } }; $computing << 1; :ok"},
			{"after", "%d.times { Thread.new { loop {} } }; $computing << 1; :ok"},
		} {
			t.Run(fmt.Sprint(n, " ", c.name), func(t *testing.T) {
				eval(t, "$computing, $let_go = Queue.new, Queue.new; nil")
				before := host.Stats()
				h := processBody(t, fmt.Sprintf(c.body, n))
				done := make(chan string, 1)
				go func() {
					out, err := h.Run(context.Background(), aStep())
					done <- fmt.Sprint(string(out), err)
				}()
				eval(t, "$computing.pop; nil")
				if c.name != "during" {
					require.Equal(t, `"ok"<nil>`, <-done)
				}
				// These do not wait: a wait would add a turn to each call.
				quick := processBody(t, `{ order: task.context[:order_id], sum: (1..50).sum }`)
				began, yields := time.Now(), host.Stats().Yields
				step := honestStep(quick, `{"order":42,"sum":1275}`)
				var computed callTimes
				honest := startHonestCalls(2, func() error {
					before := cpuTime()
					defer func() { computed.add(cpuTime() - before) }()
					return step()
				})
				t.Cleanup(func() { _ = honest.stop() })                           // if the test fails before
				require.NoError(t, honest.more(effort.Of(min(100, 3000/n), 200))) // each call waits for n turns
				turns := host.Stats().Yields - yields
				turn := time.Since(began) / time.Duration(turns+1)
				honest.requireRight(t)
				if c.name == "during" {
					eval(t, "$let_go << 1; nil")
					require.Equal(t, `"ok"<nil>`, <-done)
				}
				eval(t, "($kept || []).each(&:kill).each(&:join); $kept = nil")
				require.Eventually(t, func() bool { return host.Stats().OtherThreads == before.OtherThreads }, time.Minute, time.Millisecond)
				t.Logf("a turn: %v", turn)
				require.Less(t, computed.percentile(99), 3*time.Second, "without the ticker 100 threads make it 6 s")
				if c.name != "after" {
					require.NotZero(t, turns)
				}
			})
		}
	}
	requireHealthy(t)
}

package rubyhost_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How late honest calls are beside threads that compute, while the step that
// made them runs, and after it has ended. docs/rubyhost.md has the figures.
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
				honest, began, yields := startHonestCalls(t, 2), time.Now(), host.Stats().Yields
				honest.more(t, 200)
				turn := time.Since(began) / time.Duration(host.Stats().Yields-yields+1)
				honest.requireRight(t)
				if c.name == "during" {
					eval(t, "$let_go << 1; nil")
					require.Equal(t, `"ok"<nil>`, <-done)
				}
				eval(t, "($kept || []).each(&:kill).each(&:join); $kept = nil")
				require.Eventually(t, func() bool { return host.Stats().OtherThreads == before.OtherThreads }, 10*time.Second, time.Millisecond)
				p50, p99 := medianAndP99(honest.took)
				t.Logf("honest calls beside %d threads, %s: p50 %v, p99 %v, longest %v, a turn %v", n, c.name, p50, p99, slices.Max(honest.took), turn)
				require.Less(t, p99, 3*time.Second, "without the ticker 100 threads make it 6 s, on a machine that does nothing else")
			})
		}
	}
	requireHealthy(t)
}

func medianAndP99(times []time.Duration) (p50, p99 time.Duration) {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2], sorted[len(sorted)*99/100]
}

package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Eight handlers wait for each other: that ends only if all eight run at once.
func TestPoolRunsThreadsAtOnce(t *testing.T) {
	eval(t, `$arrived = Queue.new; nil`)
	h := processBody(t, "$arrived << 1; sleep 0.001 until $arrived.size >= 8; :met")
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			out, err := h.Run(context.Background(), aStep())
			if err != nil || string(out) != `"met"` {
				t.Error(string(out), err)
			}
		}()
	}
	all.Wait()
	requireHealthy(t)
}

// The queue is bounded: what does not fit waits in Go, until its context ends.
func init() {
	children["bounded"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1, QueueSize: 2})
		_, err := h.Eval(context.Background(), "$go = false; nil", "bounded.rb")
		must(err)
		done := make(chan error, 3)
		for range 2 {
			go func() {
				_, err := h.Eval(context.Background(), "sleep 0.001 until File.exist?(ENV['TEST_RELEASE'])", "bounded.rb")
				done <- err
			}()
		}
		for h.Stats().InFlight < 2 {
			runtime.Gosched()
		}
		_, err = h.Eval(endsWhen(func() bool { return h.CallersInLine() == 1 }), "1", "bounded.rb")
		fmt.Println("full:", err)
		must(os.WriteFile(os.Getenv("TEST_RELEASE"), nil, 0o600))
		must(<-done)
		must(<-done)
		out, err := h.Eval(context.Background(), "1", "bounded.rb")
		fmt.Println("room:", string(out), err)
		must(h.Close())
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "bounded", "TEST_RELEASE="+filepath.Join(t.TempDir(), "release"))
	require.NoError(t, err, out)
	require.Contains(t, out, "full: rubyhost: the queue is full: context canceled")
	require.Contains(t, out, "room: 1 <nil>")
}

func TestPoolManyCallers(t *testing.T) {
	h := processBody(t, "[task.task_id, step.name, sequence.find_step_by_name('one').results['total'] % 1000]")
	var all sync.WaitGroup
	errs := make(chan error, 64)
	for range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 50 {
				out, err := h.Run(context.Background(), aStep())
				if err != nil {
					errs <- err
					return
				}
				if string(out) != `[7,"two",376]` {
					errs <- errors.Newf("unexpected %s", out)
					return
				}
			}
		}()
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	requireHealthy(t)
}

// Compaction moves objects; what the bridge holds must not be moved away.
func TestGCCompact(t *testing.T) {
	h := processBody(t, "GC.compact if GC.respond_to?(:compact); step.name")
	for range 10 {
		out, err := run(t, h)
		require.NoError(t, err)
		require.Equal(t, `"two"`, out)
	}
}

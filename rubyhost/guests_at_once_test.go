package rubyhost_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Bodies that hurt in different ways, for many callers at once.
var guests = []string{
	"1",
	"sleep",
	"loop { }",
	"Thread.exit",
	"exit",
	"raise Interrupt",
	"throw :nowhere",
	"def deeper(n) = deeper(n + 1) + 1\ndeeper(0)",
	"loop { begin; Thread.exit; ensure; break; end }; 1",
	"begin; sleep; ensure; sleep 0.001; end",
	"Thread.new { sleep }; 1",
	"Thread.new { sleep 0.002; exit }; 1",
	"w = Thread.current; Thread.new { Thread.current.report_on_exception = false; sleep 0.002; w.raise('late') }; sleep 0.001",
	"Thread.list.each { |t| t.kill unless [Thread.current, Thread.main].include?(t) }; 1",
	"Fiber.new { Thread.handle_interrupt(Object => :never) { Fiber.yield } }.resume; 1",
	"require 'timeout'; Timeout.timeout(0.002) { sleep }",
	"require 'timeout'; Timeout.timeout(0.002) { Tasker::Host.ask('slow', '') }",
	"Tasker::Host.ask('echo', 'x' * 1000)",
	"Tasker::Host.ask('slow', '')",
	"Thread.new { Tasker::Host.ask('slow', '') }; 1",
	"puts 'x' * 100; print 'y'; warn 'z'; 1",
	"$stdout = $stderr; puts 'x'; 1",
	"`true`",
	"fork { }.then { |pid| Process.wait(pid) }; 1",
	"GC.start; 1",
	"GC.compact if GC.respond_to?(:compact); 1",
	"{ a: [1.5, 2**70, :b, Time.at(0).utc] * 100 }",
	"[Object.new]",
	"a = []; a << a; a",
	"task.context.to_h.merge(step.name => sequence.get_results('one'))",
}

func init() {
	children["guests at once"] = func() {
		seed, err := strconv.ParseUint(os.Getenv("TEST_SEED"), 10, 64)
		must(err)
		h := mustBoot(rubyhost.Options{Threads: 4, Grace: time.Minute})
		background := context.Background()
		must(h.Serve(background, "echo", func(_ context.Context, p []byte) ([]byte, error) { return p, nil }))
		must(h.Serve(background, "slow", func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		find := func(name, body string) *rubyhost.Handler {
			_, err := h.Eval(background, "class ::"+name+" < Tasker::StepHandler::Base\ndef process(task, sequence, step)\n"+body+"\nend\nend\nnil", "guests.rb")
			must(err)
			handler, err := h.Handler(background, name)
			must(err)
			return handler
		}
		handlers := make([]*rubyhost.Handler, len(guests))
		for i, body := range guests {
			handlers[i] = find(fmt.Sprintf("Guest%d", i), body)
		}
		good := find("Good", `{ order: task.context[:order_id], sum: sequence.get_results("one")["total"] % 7, f: 1.5 }`)
		bad := find("Bad", `raise Tasker::PermanentError, "no"`)
		slow := find("Slow", "sleep")
		random := rand.New(rand.NewPCG(seed, 0))
		order := make(chan [2]int, 1200)
		for range cap(order) {
			order <- [2]int{random.IntN(len(handlers)), 1 + random.IntN(40)}
		}
		must(each(6, cap(order), func() error {
			next := <-order
			_, _ = runFor(handlers[next[0]], time.Duration(next[1])*time.Millisecond)
			return nil
		}))
		must(lookAtHost(h, good, bad, slow))
		stats := h.Stats()
		fmt.Printf("stuck: %d, timeouts: %d, respawns: %d\n", stats.Abandoned, stats.Timeouts, stats.Respawns)
		fmt.Println("close:", h.Close())
	}
}

// Whatever handlers do at the same time, with deadlines that hit anywhere, the
// host is whole afterwards, and none of them is stuck.
func TestGuestsAtOnce(t *testing.T) {
	t.Parallel()
	seed := uint64(20261123)
	if given, err := strconv.ParseUint(os.Getenv("RUBYHOST_GUESTS_SEED"), 10, 64); err == nil {
		seed = given
	}
	out, err := inChild(t, "guests at once", fmt.Sprint("TEST_SEED=", seed))
	tail := out[max(0, len(out)-4000):]
	require.NoError(t, err, tail)
	require.Contains(t, out, "stuck: 0,", tail)
	require.Contains(t, out, "close: <nil>", tail)
	t.Log(out[strings.Index(out, "stuck:"):])
}

package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// A guest that reaches for what controls it, some times over, beside two streams
// of honest calls. Then the host is looked at from all sides, as for any guest.
func init() {
	children["hostile"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 4, Grace: time.Minute})
		_, err := h.Eval(context.Background(), `
			class ::Guest < Tasker::StepHandler::Base
				def process(task, sequence, step)
					`+os.Getenv("TEST_GUEST")+`
				end
			end
			class ::Honest
				def process(*) = (sleep 0.0005; Thread.new { (1..200).sum }.value)
			end
			class ::Good
				def process(task, sequence, step) = { order: task.context[:order_id], sum: sequence.get_results("one")["total"] % 7, f: 1.5 }
			end
			class ::Bad
				ERROR = Tasker::PermanentError
				def process(*) = raise(ERROR.new("no", error_code: "E"))
			end
			class ::Slow
				def process(*) = sleep
			end
			nil`, "hostile.rb")
		must(err)
		var handlers [5]*rubyhost.Handler
		for i, name := range []string{"Guest", "Honest", "Good", "Bad", "Slow"} {
			handlers[i], err = h.Handler(context.Background(), name)
			must(err)
		}
		honest := startHonestCalls(2, honestStep(handlers[1], "20100"))
		times, err := strconv.Atoi(os.Getenv("TEST_TIMES"))
		must(err)
		for range times {
			out, err := runFor(handlers[0], time.Minute)
			fmt.Printf("guest: %s %v\n", out, err)
		}
		must(each(2, 8, func() error { return interruptSleeper(handlers[4]) })) // beside the honest calls
		honest.mustBeRight()
		must(lookAtHost(h, handlers[2], handlers[3], handlers[4]))
		fmt.Println("healthy")
		must(h.Close())
	}
}

// A method that waits on the main thread, and returns its argument on any other.
const onMainThread = "Exception.class_eval { def on_main(value) = Thread.current == Thread.main ? sleep : value }; "

func TestConductTowardsTheControl(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		times      int
		guest      string // what becomes of each step
		stray      bool   // an exception reaches the main thread, which says so
	}{
		{name: "freezing the default group and leaving", body: "ThreadGroup::Default.freeze; Thread.exit", times: 12, guest: "the handler's thread was killed"},
		{name: "freezing its own group and leaving", body: "Thread.current.group.freeze; Thread.exit", times: 12, guest: "the handler's thread was killed"},
		{name: "freezing its own group", body: "Thread.current.group.freeze; :ok", times: 12, guest: `"ok"`},
		{name: "freezing the main thread's group and leaving", body: "Thread.main.group.freeze rescue puts $!.message; Thread.exit", times: 12, guest: "the handler's thread was killed"},
		{name: "enclosing the main thread's group and leaving", body: "Thread.main.group.enclose", times: 4, guest: "ForbiddenError"},
		{name: "freezing the main thread's group with all it holds", body: "Ractor.make_shareable(Thread.main.group)", times: 4, guest: "Ractor::Error"},
		{name: "freezing its thread", body: "Thread.current[:own] = 1; Thread.current.freeze; :ok", times: 12, guest: `"ok"`},
		{name: "moving to a frozen group", body: "ThreadGroup.new.tap { _1.add(Thread.current) }.freeze; :ok", times: 12, guest: `"ok"`},
		{name: "a TracePoint that stops the main thread", body: "TracePoint.new(:call, :c_call, :line, :b_call) { sleep if Thread.current == Thread.main }.enable; :ok", times: 1, guest: `"ok"`},
		{name: "a trace function that stops the main thread", body: "$set ||= set_trace_func(proc { sleep if Thread.current == Thread.main }); :ok", times: 1, guest: `"ok"`},
		{name: "Thread methods that do nothing", body: "Thread.class_eval { def raise(*) = nil; def kill = nil; def alive? = true; def backtrace(*) = sleep }; :ok", times: 1, guest: `"ok"`},
		{name: "Thread methods that do nothing, prepended", body: "Thread.prepend(Module.new { def raise(*) = nil; def kill = nil; def alive? = true; def join(*) = sleep }); :ok", times: 1, guest: `"ok"`},
		{name: "an Interrupt that cannot be made", body: "Tasker::Host::Interrupt.class_eval { def initialize(*) = sleep; def exception(*) = sleep; def self.new(*) = sleep; def self.exception(*) = sleep; def self.allocate = sleep; def respond_to?(*) = sleep }; :ok", times: 1, guest: `"ok"`},
		{name: "a method_missing for everything", body: "Tasker::Host::Interrupt.class_eval { def method_missing(*) = sleep; def respond_to_missing?(*) = true; def to_str = sleep }; :ok", times: 1, guest: `"ok"`},
		{name: "killing the main thread", body: "Thread.main.kill", times: 4, guest: "ForbiddenError"},
		{name: "raising in the main thread", body: "Thread.main.raise('hello')", times: 4, guest: "ForbiddenError"},
		{name: "an exit of a thread, whose backtrace waits", body: onMainThread + "c = Class.new(SystemExit) { def backtrace(*) = on_main(super) }; Thread.new { raise c }.join rescue :ok", times: 2, guest: "SystemExit", stray: true},
		{name: "exits of many threads, and each join sees it", body: "seen = 0; 400.times { begin; Thread.new { exit }.join; rescue SystemExit; seen += 1; end }; seen", times: 4, guest: "400", stray: true},
		{name: "an abort_on_exception, whose backtrace waits", body: onMainThread + "c = Class.new(StandardError) { def respond_to?(*) = on_main(super); def backtrace(*) = on_main(super); def exception(*) = on_main(super) }; Thread.new { Thread.current.abort_on_exception = true; Thread.current.report_on_exception = false; raise c }.join", times: 2, guest: "Error", stray: true},
		{name: "an abort_on_exception of a frozen exception, whose copy waits", body: onMainThread + "c = Class.new(StandardError) { def backtrace = on_main(super); def initialize_copy(*) = on_main(super) }; Thread.new { Thread.current.abort_on_exception = true; Thread.current.report_on_exception = false; e = begin; raise c; rescue => e; e; end; def e.backtrace = on_main(super); raise e.freeze }.join", times: 2, guest: "Error", stray: true},
		{name: "emptying the host's list", body: "Tasker::Host::CALLABLES.clear", times: 4, guest: "NameError"},
		{name: "emptying every Array with callables", body: "ObjectSpace.each_object(Array) { |a| a.clear if a.any? { |c| Tasker::Host::StepCallable === c } }; :ok", times: 4, guest: `"ok"`},
		{name: "changing every callable", body: "ObjectSpace.each_object(Tasker::Host::StepCallable) { |c| c.instance_variable_set(:@handler_class, nil) }; :ok", times: 4, guest: "FrozenError"},
		{name: "changing what an interrupt answers, found through ObjectSpace", body: "ObjectSpace.each_object(Module) { |m| m.define_method(:exception) { |*| sleep } if m.name.nil? && m.instance_methods(false).sort == %i[exception respond_to?] }; :ok", times: 4, guest: "FrozenError"},
		{name: "emptying the list of services", body: "Tasker::Host.instance_variable_get(:@services).clear", times: 4, guest: "FrozenError"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := inChild(t, "hostile", "TEST_GUEST="+c.body, fmt.Sprint("TEST_TIMES=", c.times))
			require.NoError(t, err, out)
			require.Contains(t, out, "healthy\n", out)
			requireHonestCalls(t, out)
			require.Equal(t, c.times, strings.Count(out, "guest: "), out)
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "guest: ") {
					require.Contains(t, line, c.guest)
				}
			}
			require.Equal(t, c.stray, strings.Contains(out, "main thread and was dropped"), out)
		})
	}
}

func init() {
	children["no memory for a reply"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 4})
		answer := make([]byte, 1<<30)
		must(h.Serve(context.Background(), "big", func(context.Context, []byte) ([]byte, error) { return answer, nil }))
		_, err := h.Eval(context.Background(), `
			class ::Asks
				def process(*) = Tasker::Host.ask("big", "").bytesize
			end
			class ::Honest
				def process(*) = (sleep 0.0005; (1..200).sum)
			end
			class ::Slow
				def process(*) = sleep
			end
			nil`, "memory.rb")
		must(err)
		var handlers [3]*rubyhost.Handler
		for i, name := range []string{"Asks", "Honest", "Slow"} {
			handlers[i], err = h.Handler(context.Background(), name)
			must(err)
		}
		honest := startHonestCalls(2, honestStep(handlers[1], "20100"))
		// Room for everything except for a copy of the answer.
		must(syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: addressSpace() + 900<<20, Max: addressSpace() + 900<<20}))
		for range 8 {
			_, err := runFor(handlers[0], 10*time.Second)
			fmt.Println("asked:", err)
			_, err = runFor(handlers[2], time.Millisecond) // the thread still takes interrupts
			if !errors.Is(err, context.DeadlineExceeded) {
				must(errors.Newf("not interrupted: %v", err))
			}
		}
		honest.mustBeRight()
		must(h.Close())
	}
}

// addressSpace returns how much of it this process uses.
func addressSpace() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	must(err)
	pages, err := strconv.ParseUint(strings.Fields(string(text))[0], 10, 64)
	must(err)
	return pages * uint64(os.Getpagesize())
}

func TestNoMemoryForAReply(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "no memory for a reply")
	require.NoError(t, err, out)
	require.Equal(t, 8, strings.Count(out, "asked: NoMemoryError: no memory for the answer of the host"), out)
	requireHonestCalls(t, out)
}

func init() {
	children["no memory for results"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 2})
		_, err := h.Eval(context.Background(), `
			class ::Large
				def process(*) = { items: ["x" * 1000] * 8000 }
			end
			class ::Small
				def process(*) = (1..200).sum
			end
			nil`, "memory.rb")
		must(err)
		var handlers [2]*rubyhost.Handler
		for i, name := range []string{"Large", "Small"} {
			handlers[i], err = h.Handler(context.Background(), name)
			must(err)
		}
		// Not enough for the buffer of a large result.
		must(syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: addressSpace() + 40<<20, Max: addressSpace() + 40<<20}))
		for range 8 {
			_, err := runFor(handlers[0], 10*time.Second)
			fmt.Println("large:", err)
			out, err := runFor(handlers[1], 10*time.Second)
			fmt.Println("small:", out, err)
		}
		must(h.Close())
	}
}

func TestNoMemoryForResults(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "no memory for results")
	require.NoError(t, err, out)
	require.Equal(t, 8, strings.Count(out, "large: NoMemoryError: no memory for the results as JSON"), out)
	require.Equal(t, 8, strings.Count(out, "small: 20100 <nil>"), out)
}

package rubyhost_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// The guest of a process of its own: one handler does its worst, and the host
// is then looked at from all sides.
func init() {
	children["guest"] = func() {
		grace, stuck := time.Minute, os.Getenv("TEST_GUEST_IS_STUCK") != ""
		if stuck {
			grace = stuckGrace
		}
		h := mustBoot(rubyhost.Options{Threads: 4, Grace: grace})
		_, err := h.Eval(context.Background(), `
			class ::Guest < Tasker::StepHandler::Base
				def process(task, sequence, step)
					$guest = Thread.current
					`+os.Getenv("TEST_GUEST")+`
				end
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
			nil`, "guest.rb")
		must(err)
		must(h.Serve(context.Background(), "echo", func(_ context.Context, p []byte) ([]byte, error) { return p, nil }))
		var handlers [4]*rubyhost.Handler
		for i, name := range []string{"Guest", "Good", "Bad", "Slow"} {
			handlers[i], err = h.Handler(context.Background(), name)
			must(err)
		}
		ctx := context.Background()
		if stuck {
			ctx = endsWhen(func() bool {
				// Where it waits: a thread that was asked to give way would say that it sleeps.
				waits, err := h.Eval(context.Background(), `$guest&.backtrace&.first.to_s.match?(/\b(sleep|stop|join)'\z/)`, "guest.rb")
				must(err)
				return string(waits) == "true"
			})
		}
		out, err := handlers[0].Run(ctx, aStep())
		fmt.Printf("guest: %s %v\n", out, err)
		must(lookAtHost(h, handlers[1], handlers[2], handlers[3]))
		fmt.Println("healthy")
		if err := h.Close(); err != nil {
			fmt.Println("close:", err)
		}
	}
}

// stuckGrace is the grace of hosts whose guest ends by a kill, or not at all. Half of it is
// enough for an interrupt to end a handler that sleeps, on a busy machine too.
const stuckGrace = 4 * time.Second

func runFor(h *rubyhost.Handler, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := h.Run(ctx, aStep())
	return string(out), err
}

// lookAtHost: all threads are there and answer, errors come whole, handlers
// can be interrupted, and nothing spins.
func lookAtHost(h *rubyhost.Host, good, bad, slow *rubyhost.Handler) error {
	if err := until(func() bool { return h.Stats().Threads == 4 }); err != nil {
		return errors.Wrapf(err, "threads are missing: %+v", h.Stats())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Health(ctx); err != nil {
		return err
	}
	err := each(4, 40, func() error {
		out, err := runFor(good, time.Minute)
		if err != nil || out != `{"order":42,"sum":4,"f":1.5}` {
			return errors.Newf("a good handler: %s %v", out, err)
		}
		var ruby *rubyhost.Error
		_, err = runFor(bad, time.Minute)
		if !errors.As(err, &ruby) || ruby.Class != "Tasker::PermanentError" || !ruby.Permanent {
			return errors.Newf("a handler that raises: %v", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := each(4, 8, func() error { return interruptSleeper(slow) }); err != nil {
		return err
	}
	if used := idleTime(100 * time.Millisecond); used > 60*time.Millisecond {
		return errors.Newf("the host is busy with nothing: %v in 100 ms", used)
	}
	return nil
}

// interruptSleeper runs a handler that sleeps until it is interrupted. A kill, which follows
// when an interrupt has no effect, comes late and leaves no backtrace. Some guests leave
// none either.
func interruptSleeper(slow *rubyhost.Handler) error {
	for range 1000 {
		var interrupted *rubyhost.InterruptedError
		_, err := runFor(slow, 10*time.Millisecond)
		switch {
		case errors.As(err, &interrupted) && !interrupted.Stuck && (len(interrupted.Backtrace) > 0 || interrupted.After > 0 && interrupted.After < stuckGrace*9/20):
			return nil
		case !errors.Is(err, context.DeadlineExceeded) || interrupted != nil && interrupted.After > 0:
			return errors.Newf("a handler that sleeps: %+v", err)
		}
	}
	return errors.New("a handler that sleeps has never begun within its 10 ms")
}

// idleTime returns how much of the processor this process uses in such a time, in the
// quietest of ten: what has just ended may still be tidied up. What spins does so in each.
func idleTime(in time.Duration) time.Duration {
	quietest := time.Duration(math.MaxInt64)
	for range 10 {
		before := cpuTime()
		time.Sleep(in)
		quietest = min(quietest, cpuTime()-before)
		if quietest <= in/100 {
			break
		}
	}
	return quietest
}

// What cannot be done to the host that the other tests share. The rows are
// also rows of the table in docs/rubyhost.md.
func TestConductInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		guest      string // what becomes of the step
		stuck      bool   // the body never ends by itself
		noClose    bool   // a thread of the guest's outlives the grace
		stray      bool   // an exception reaches the main thread, which says so
	}{
		{name: "killing every thread", body: "ObjectSpace.each_object(Thread) { |t| t.kill unless t == Thread.main }", guest: "the handler's thread was killed"},
		{name: "killing the listed threads", body: "Thread.list.each(&:kill)", guest: "ForbiddenError"},
		{name: "killing idle workers for long", body: "50.times { Thread.list.each { |t| t.kill unless [Thread.current, Thread.main].include?(t) }; sleep 0.001 }; :ok", guest: `"ok"`},
		{name: "raising in its worker after its step", body: "w = Thread.current; Tasker.keep_thread { Thread.new { 400.times { sleep 0.0005; w.raise('late') } } }; :ok", guest: `"ok"`},
		{name: "killing its worker after its step", body: "w = Thread.current; Tasker.keep_thread { Thread.new { Thread.current.report_on_exception = false; sleep 0.03; w.kill } }; :ok", guest: `"ok"`},
		{name: "moving every object", body: "GC.verify_compaction_references(double_heap: true, toward: :empty); :ok", guest: `"ok"`},
		{name: "GC.auto_compact", body: "GC.auto_compact = true; :ok", guest: `"ok"`},
		{name: "ENV.clear", body: "ENV.clear; :ok", guest: `"ok"`},
		{name: "closing the descriptors", body: "STDOUT.close; STDERR.close; STDIN.close; :ok", guest: `"ok"`},
		{name: "removing JSON", body: "Object.send(:remove_const, :JSON); :ok", guest: `"ok"`},
		{name: "removing Exception", body: "Object.send(:remove_const, :Exception); :ok", guest: `"ok"`},
		{name: "removing Tasker", body: "Object.send(:remove_const, :Tasker); :ok", guest: `"ok"`},
		{name: "removing the host's own names", body: "%i[Interrupt Values].each { |c| Tasker::Host.send(:remove_const, c) }; GC.start; GC.compact; :ok", guest: `"ok"`},
		{name: "Hash#each that raises", body: "::Hash.class_eval { def each(*) = raise('no'); def each_pair(*) = raise('no') }; :ok", guest: `"ok"`},
		{name: "Array methods that raise", body: "::Array.class_eval { %i[each map first << push join].each { |m| define_method(m) { |*| raise 'no' } } }; nil", guest: "<nil>"},
		{name: "Object#inspect that raises", body: "::Object.class_eval { def inspect = raise('no'); def to_s = raise('no') }; Object.new", guest: "UnrepresentableError"},
		{name: "freezing core classes", body: "[Object, Kernel, Thread, String].each(&:freeze); :ok", guest: `"ok"`},
		{name: "abort_on_exception for everybody", body: "Thread.abort_on_exception = true; Thread.report_on_exception = false; (Thread.new { nil.foo }.join rescue nil); :ok", guest: `"ok"`, stray: true},
		{name: "a Fiber left in handle_interrupt", body: "$f = Fiber.new { Thread.handle_interrupt(Object => :never) { Fiber.yield } }; $f.resume; :ok", guest: `"ok"`},
		{name: "a TracePoint of all events", body: "TracePoint.new(:call, :c_call, :line, :return, :thread_begin, :thread_end) { raise 'traced' }.enable; Thread.exit", guest: "traced"},
		{name: "a scheduler whose close raises", body: scheduler + "Fiber.set_scheduler(Scheduler.new { raise 'in close' }); :ok", guest: "in close"},
		{name: "a scheduler whose close never ends", body: scheduler + "Fiber.set_scheduler(Scheduler.new { loop { begin; Thread.stop; rescue Exception; end } }); :ok", guest: "interrupted", stuck: true},
		{name: "an error that C code has left behind", body: `require "fiddle"; set = Fiddle::Function.new(Fiddle::Handle::DEFAULT["rb_set_errinfo"], [Fiddle::TYPE_VOIDP], Fiddle::TYPE_VOID); set.call(Fiddle.dlwrap(NoMethodError.new("left"))); :ok`, guest: `"ok"`},
		{name: "at_exit that raises, exits and throws", body: "at_exit { raise 'x' }; at_exit { exit 5 }; at_exit { exit! }; at_exit { throw :x }; at_exit { Thread.exit }; trap('EXIT') { raise 'y' }; :ok", guest: `"ok"`},
		{name: "at_exit that asks the host", body: "at_exit { STDOUT.puts Tasker::Host.ask('echo', 'asked at the end') }; :ok", guest: "asked at the end"},
		{name: "a finalizer that raises", body: "o = Object.new; ObjectSpace.define_finalizer(o, proc { raise Interrupt }); o = nil; GC.start; :ok", guest: `"ok"`},
		{name: "a Ractor left waiting", body: "Warning[:experimental] = false; $r = Ractor.new { Ractor.receive }; :ok", guest: `"ok"`},
		{name: "a Ractor left running", body: "Warning[:experimental] = false; $r = Ractor.new { loop { sleep 0.01 } }; :ok", guest: `"ok"`},
		{name: "ensure that waits after the kill", body: "begin; loop { begin; sleep; rescue Exception; end }; ensure; sleep; end", guest: "interrupted", stuck: true},
		{name: "ensure that waits for ever", body: "begin; sleep; ensure; loop { begin; sleep; rescue Exception; end }; end", guest: "interrupted", stuck: true},
		{name: "ensure in ensure without end", body: "at_exit { STDOUT.syswrite(%(at_exit ran\n)) }; def deep; sleep; ensure; deep; end; deep", guest: "at_exit ran", stuck: true, noClose: true},
		{name: "a thread of its own that will not end", body: "Thread.new { begin; sleep; ensure; sleep; end }.join", guest: "interrupted", stuck: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := []string{"TEST_GUEST=" + c.body}
			if c.stuck {
				env = append(env, "TEST_GUEST_IS_STUCK=1")
			}
			out, err := inChild(t, "guest", env...)
			require.NoError(t, err, out)
			require.Contains(t, out, "healthy\n")
			require.Contains(t, out, c.guest)
			require.Equal(t, c.noClose, containsLine(out, "close:"), out)
			require.Equal(t, c.stray, strings.Contains(out, "an exception reached Ruby's main thread"), out)
		})
	}
}

func containsLine(text, start string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return false
}

// A Fiber scheduler that does nothing, except for the code given for its close.
const scheduler = `
	Object.const_set(:Scheduler, Class.new do
		def initialize(&close) = @close = close
		def close = @close.call
		def block(*) = nil
		def unblock(*) = nil
		def kernel_sleep(*) = nil
		def io_wait(*) = nil
	end)
`

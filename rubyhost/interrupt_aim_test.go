package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// What widens the moment between the choice of a thread and the raise in it.
// Each is Ruby code that a gem might have, and that once ran on the main thread.
var interruptWideners = []struct{ name, source string }{
	{"natural", ""},
	{"Interrupt#initialize that gives way", `class ::Tasker::Host::Interrupt
		def initialize(*) = (super; 20.times { Thread.pass })
	end`},
	{"Thread#raise that gives way", `Thread.prepend(Module.new do
		def raise(*, **) = (20.times { Thread.pass }; super)
		def kill = (20.times { Thread.pass }; super)
	end)`},
	{"a TracePoint that gives way", `TracePoint.new(:c_call) { |t| 5.times { Thread.pass } if %i[raise kill exception].include?(t.method_id) }.enable`},
}

// aimGrace is the child's. Half of it is enough for a kill, on a busy machine too.
const aimGrace = 4 * time.Second

// The streams of calls of the child: some are interrupted all the time, and the
// honest ones, without a limit, must never be.
func init() {
	children["interrupts beside honest calls"] = func() {
		widener, err := strconv.Atoi(os.Getenv("TEST_WIDENER"))
		must(err)
		h := mustBoot(rubyhost.Options{Threads: 4, Grace: aimGrace})
		_, err = h.Eval(context.Background(), interruptWideners[widener].source+"\n"+`
			class ::Honest < Tasker::StepHandler::Base
				def process(*) = (sleep 0.0005; (1..200).sum)
			end
			class ::Limited < Tasker::StepHandler::Base
				def process(*)
					$limited = ($limited || 0) + 1
					case $limited % 32
					when 0 then loop { begin; sleep; rescue Exception; end } # until it is killed
					when 1 then loop { }
					else sleep 0.0025
					end
				end
			end
			nil`, "aim.rb")
		must(err)
		long, _ := time.ParseDuration(os.Getenv("TEST_FOR"))
		calls, _ := strconv.Atoi(os.Getenv("TEST_CALLS"))
		aimInterrupts(h, calls, time.Now().Add(long))
	}
}

// aimInterrupts runs the streams until the interrupted ones have made that many
// calls, or until the time if there is no number.
func aimInterrupts(h *rubyhost.Host, calls int, until time.Time) {
	find := func(class string) *rubyhost.Handler {
		handler, err := h.Handler(context.Background(), class)
		must(err)
		return handler
	}
	honest, limited := find("Honest"), find("Limited")
	var made, ended, cancelled, killed atomic.Int64
	var hits sync.Map
	var streams sync.WaitGroup
	beside := startHonestCalls(4, honestStep(honest, "20100"))
	for i := range 3 {
		streams.Go(func() {
			for n := 0; ; n++ {
				if made.Add(1) > int64(calls) && calls > 0 || calls == 0 && time.Now().After(until) {
					return
				}
				limit := time.Duration(1000+(n*377+i*991)%3000) * time.Microsecond
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				if n%3 == 0 { // a cancel from outside
					time.AfterFunc(limit, cancel)
				}
				_, err := limited.Run(ctx, aStep())
				cancel()
				var interrupted *rubyhost.InterruptedError
				switch {
				case err == nil || strings.Contains(err.Error(), "the call was not begun"):
				case !errors.As(err, &interrupted) || interrupted.Stuck:
					hits.Store(fmt.Sprintf("limited: %v", err), true)
				case errors.Is(err, context.Canceled):
					cancelled.Add(1)
				case interrupted.After > aimGrace*9/20:
					killed.Add(1)
				default:
					ended.Add(1)
				}
			}
		})
	}
	streams.Wait()
	hits.Range(func(what, _ any) bool { fmt.Println("wrong:", what); return true })
	fmt.Printf("timeouts %d, cancels %d, kills %d\n", ended.Load(), cancelled.Load(), killed.Load())
	beside.mustBeRight()
	must(h.Health(context.Background()))
	fmt.Printf("abandoned %d\n", h.Stats().Abandoned)
	must(h.Close())
	fmt.Println("closed")
}

// An interrupt, a cancel and a kill reach the call that they were meant for, and
// never the next one on the same thread. make test/interrupts runs it for long.
func TestInterruptHitsItsCallOnly(t *testing.T) {
	t.Parallel()
	for i, w := range interruptWideners {
		t.Run(w.name, func(t *testing.T) {
			env := []string{fmt.Sprint("TEST_WIDENER=", i), fmt.Sprint("TEST_CALLS=", effort.Of(150, 400))}
			if long := os.Getenv("RUBYHOST_INTERRUPTS_FOR"); long != "" {
				env = []string{fmt.Sprint("TEST_WIDENER=", i), "TEST_FOR=" + long}
			}
			out, err := inChild(t, "interrupts beside honest calls", env...)
			require.NoError(t, err, out)
			require.NotContains(t, out, "wrong:", out)
			require.True(t, strings.HasSuffix(out, "closed\n"), out)
			t.Log(requireHonestCalls(t, out))
		})
	}
}

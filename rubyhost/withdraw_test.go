package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// A step that waits in the queue is taken back, and its code never runs. One that has begun
// goes on.
func init() {
	children["withdraw"] = func() {
		ctx := context.Background()
		h := mustBoot(rubyhost.Options{Threads: 1})
		release := os.Getenv("TEST_RELEASE")
		_, err := h.Eval(ctx, `$ran = []
			class Waits < Tasker::StepHandler::Base
				def process(task, _sequence, _step)
					$ran << task.context[:n]
					sleep 0.001 until File.exist?(ENV.fetch("TEST_RELEASE"))
					$ran.size
				end
			end
			nil`, "withdraw.rb")
		must(err)
		handler, err := h.Handler(ctx, "Waits")
		must(err)
		withdraw := make(chan struct{})
		run := func(n int) <-chan error {
			ended := make(chan error, 1)
			go func() {
				s := aStep()
				s.Context, s.Withdraw = fmt.Appendf(nil, `{"n": %d}`, n), withdraw
				_, err := handler.Run(ctx, s)
				ended <- err
			}()
			for h.Stats().InFlight < n {
				runtime.Gosched()
			}
			return ended
		}
		first := run(1)
		for h.Stats().Busy < 1 {
			runtime.Gosched()
		}
		second, third := run(2), run(3)
		close(withdraw)
		for _, ended := range []<-chan error{second, third} {
			if err := <-ended; !errors.Is(err, rubyhost.ErrNotBegun) {
				panic(fmt.Sprint("a step that had not begun: ", err))
			}
		}
		must(os.WriteFile(release, nil, 0o600))
		must(<-first)
		out, err := h.Eval(ctx, "$ran", "withdraw.rb")
		must(err)
		if string(out) != "[1]" {
			panic("these ran: " + string(out))
		}
		must(h.Close())
	}
}

func TestStepsThatHaveNotBegunAreWithdrawn(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "withdraw", "TEST_RELEASE="+filepath.Join(t.TempDir(), "release"))
	require.NoError(t, err, out)
}

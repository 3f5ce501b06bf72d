package rubyhost_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
)

// Another thread may wake one that was about to wait when the ticker asked it to
// give way. It does not wait then.
func TestNoWakeupIsLost(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"queue", `
			there, back = Queue.new, Queue.new
			t = Thread.new { while (x = there.pop); back << x; end }
			rounds.times { |i| there << i; back.pop }
			there << nil; t.join; :ok`},
		{"condition variable", `
			lock, changed, turn = Mutex.new, ConditionVariable.new, 0
			t = Thread.new { rounds.times { lock.synchronize { changed.wait(lock) until turn == 1; turn = 0; changed.signal } } }
			rounds.times { lock.synchronize { changed.wait(lock) until turn == 0; turn = 1; changed.signal } }
			t.join; :ok`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // without a defect it takes a second, or many on a busy machine
			defer cancel()
			h := processBody(t, fmt.Sprintf("rounds = %d\n", effort.Of(2000, 20000))+c.body)
			const callers = 4
			errs := make(chan error, callers)
			for range callers {
				go func() {
					_, err := h.Run(ctx, aStep())
					errs <- err
				}()
			}
			for range callers {
				require.NoError(t, <-errs)
			}
			requireHealthy(t)
		})
	}
}

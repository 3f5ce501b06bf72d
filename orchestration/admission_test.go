package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Whatever becomes of steps, nothing is left of their admission: neither a thread, nor
// room for results, nor a place beside others.
func TestAdmissionsAreGivenBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(effort.Of(2, 4)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			draw := rand.New(rand.NewPCG(seed, 0))
			threads := orchestration.NewQueuedThreads(1+draw.IntN(4), 8*draw.IntN(3))
			b := engine(t, nil, func(c *orchestration.Config) {
				c.Handlers = threaded{resolver(funcs{"A": anyFate, "B": anyFate, "C": anyFate, "D": anyFate}), threads}
				c.Grace, c.MaxResultMemory = 20*time.Millisecond, 300<<10
				mayLogErrors(c)
			})
			b.SetSuspects(50*time.Millisecond, 100*time.Millisecond)
			rules := "timeout_seconds: 0.1\ndefault_retry_limit: 3"
			if seed%2 == 1 {
				rules += "\nconcurrency_key: k\nconcurrency_limit: 3"
			}
			tasks, err := b.SubmitMany(t.Context(), many(100, orchestration.Submission{Template: template(t, diamond, rules), Context: json.RawMessage(`{}`)}))
			require.NoError(t, err)
			_, err = b.pool.Exec(t.Context(), "update tasker.steps set crashes = 2 where step_id % 37 = 0")
			require.NoError(t, err)

			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 2)
			go func() {
				ended <- b.Work(ctx, orchestration.WorkerConfig{Poll: 50 * time.Millisecond, Drain: 50 * time.Millisecond})
			}()
			go func() {
				for i := 0; ctx.Err() == nil; i = (i + 7) % len(tasks) {
					_, _ = b.Run(ctx, tasks[i].TaskID) // until the end, or an error
				}
				ended <- nil
			}()
			for range 300 {
				b.disturb(t, draw, tasks[draw.IntN(len(tasks))].TaskID)
			}
			stop()
			require.NoError(t, <-ended)
			require.NoError(t, <-ended)
			require.Eventually(t, func() bool { return b.Admissions(threads) == orchestration.NoAdmissions }, patience, time.Millisecond, b.Admissions(threads))
		})
	}
}

// disturb does something that another party may do.
func (b *bundle) disturb(t *testing.T, draw *rand.Rand, task int64) {
	t.Helper()
	by := orchestration.By{Actor: "test"}
	var err error
	switch draw.IntN(20) {
	case 0:
		err = b.CancelTask(t.Context(), task, by)
	case 1, 2, 3, 4:
		err = b.RetryTask(t.Context(), task, by)
	case 5: // the engine is declared dead
		_, err = b.pool.Exec(t.Context(), "delete from tasker.workers")
	}
	if err != nil && !errors.Is(err, orchestration.ErrRefused) {
		t.Log(err) // its connection may have been reset
	}
	time.Sleep(5 * time.Millisecond)
}

// anyFate is a handler that does everything that handlers do.
func anyFate(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	large := json.RawMessage(`"` + strings.Repeat("x", 120<<10) + `"`)
	switch rand.IntN(20) {
	case 0, 1:
		return nil, errors.New("on purpose")
	case 2:
		panic("on purpose")
	case 3:
		runtime.Goexit()
	case 4:
		<-ctx.Done()
		return nil, ctx.Err()
	case 5:
		time.Sleep(200 * time.Millisecond) // it is abandoned
	case 6:
		return json.RawMessage("no JSON"), nil
	case 7, 8:
		return large, nil
	case 9, 10, 11:
		_, _ = x.Results(ctx)
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "select pg_sleep(0.002)")
		return large, err
	default:
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
	}
	return nil, nil
}

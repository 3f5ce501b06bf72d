package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The answer to a commit is lost that took the claims of the next steps along. The engine
// finds them, and runs the steps. A step that is not retryable would end in error if its
// claim were taken for lost.
func TestClaimsOfALostAnswerAreFound(t *testing.T) {
	t.Parallel()
	for _, fate := range []pgproxy.Fate{pgproxy.ThenCut, pgproxy.ThenSilence} {
		for _, with := range []string{"SQL", "no SQL"} {
			t.Run(fmt.Sprint(with, " ", fate), func(t *testing.T) {
				t.Parallel()
				var c *cutOff
				var armed atomic.Bool
				handler := func(ctx context.Context, x *orchestration.StepExecution) (results json.RawMessage, err error) {
					if with == "SQL" {
						results, err = ledger(ctx, x)
					} else {
						_, err = c.pool.Exec(ctx, "insert into ledger values ($1, $2)", x.TaskID, x.StepName)
					}
					if x.StepName != "a" || !armed.CompareAndSwap(false, true) {
						return results, err
					}
					if with == "SQL" {
						c.proxy.SwallowCommitAnswers(1, fate)
					} else {
						c.proxy.SwallowAnswers(1, func(tag string) bool { return tag == "SELECT 1" }, fate, pgproxy.Not(pgproxy.Listened))
					}
					return results, err
				}
				c = behindProxy(t, funcs{"A": handler, "B": handler, "C": handler, "D": handler})
				const tasks = 3
				tpl := template(t, diamond, "default_retryable: false")
				_, err := c.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: tpl}))
				require.NoError(t, err)
				c.work(t, orchestration.WorkerConfig{})
				require.Zero(t, c.requireOnce(t, tasks, 4), "no attempt was lost")
				require.Equal(t, 1, c.proxy.Swallowed())
			})
		}
	}
}

// A worker stops while the success of a step is being committed, together with the claim of
// the next one. That step does not begin. Its claim is undone, and does not count.
func TestAStoppedWorkerReleasesClaims(t *testing.T) {
	t.Parallel()
	var ran atomic.Int32
	b := engine(t, funcs{"B": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		ran.Add(1)
		return nil, nil
	}})
	_, err := b.pool.Exec(t.Context(), `
		create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(42); return null; end $$;
		create trigger hold after insert on tasker.attempts for each row execute function hold()`)
	require.NoError(t, err)
	holder, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer holder.Release()
	_, err = holder.Exec(t.Context(), "select pg_advisory_lock(42)")
	require.NoError(t, err)
	id := b.submit(t, template(t, "a:\nb: a", "default_retryable: false"), "{}")

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Work(ctx, orchestration.WorkerConfig{}) }()
	require.Eventually(t, func() bool {
		var waits bool
		return holder.QueryRow(t.Context(), "select exists (select from pg_locks where locktype = 'advisory' and objid = 42 and not granted)").Scan(&waits) == nil && waits
	}, patience, time.Millisecond, "the success is being committed")
	stop()
	_, err = holder.Exec(t.Context(), "select pg_advisory_unlock(42)")
	require.NoError(t, err)
	require.NoError(t, <-ended)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	next := step(t, d, "b")
	require.Equal(t, orchestration.StepComplete, step(t, d, "a").State)
	require.Equal(t, orchestration.StepPending, next.State)
	require.Zero(t, next.Attempts)
	require.Zero(t, ran.Load())
	var moves []string
	for _, w := range next.Transitions {
		moves = append(moves, w.From+" > "+w.To)
	}
	require.Equal(t, []string{"pending > in_progress", "in_progress > pending"}, moves)

	out := b.rerun(t, id)
	require.Equal(t, orchestration.TaskComplete, out.State)
	require.Len(t, step(t, out, "b").History, 1)
}

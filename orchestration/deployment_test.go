package orchestration_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The database keeps the template of every task. A worker that never saw the file runs
// the task to its end, and the stored template cannot be deleted.
func TestTaskRunsWithItsStoredTemplate(t *testing.T) {
	t.Parallel()
	fails := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		later := time.Minute
		return nil, &orchestration.StepError{Class: "Later", RetryAfter: &later}
	}
	first := engine(t, funcs{"B": fails})
	id := first.submit(t, template(t, "a:\nb: a", ""), "{}")
	out, err := first.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, out.State)
	_, err = first.pool.Exec(t.Context(), "delete from tasker.templates")
	require.ErrorContains(t, err, "foreign key")

	second := engineOn(t, first.pool, nil)
	require.NoError(t, second.RetryStep(t.Context(), id, "b", ops))
	out, err = second.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
}

// The handler class is renamed while its task waits. The step ends with an error that
// names the class, and earlier results are kept. When the class is back, a person
// retries the task, and it continues from there.
func TestRenamedHandlerClassFailsTheStep(t *testing.T) {
	t.Parallel()
	var renamed, failed atomic.Bool
	var runs atomic.Int32
	clock := jumpingClock{start: time.Now()}
	b := engine(t, nil, func(c *orchestration.Config) {
		c.Handlers = resolverFunc(func(class string) (orchestration.StepHandler, error) {
			if class == "B" && renamed.Load() {
				return nil, errors.New("no class B")
			}
			return orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				if runs.Add(1); x.StepName == "b" && !failed.Swap(true) {
					minute := time.Minute
					return nil, &orchestration.StepError{Class: "Later", RetryAfter: &minute}
				}
				return json.RawMessage(`"` + x.StepName + `"`), nil
			}), nil
		})
		c.Now = clock.Now
	})
	id := b.submit(t, template(t, "a:\nb: a\nc: a", ""), "{}")
	_, err := b.Handle(t.Context(), id)
	require.NoError(t, err)
	renamed.Store(true)
	clock.jump.Store(int64(2 * time.Minute))
	out, err := b.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInError, out.State)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, step(t, d, "b").Last().Err.Message, "no class B")
	require.True(t, step(t, d, "b").Last().Err.Permanent)
	require.Equal(t, `"c"`, string(step(t, d, "c").Results()))

	renamed.Store(false)
	require.NoError(t, b.RetryTask(t.Context(), id, ops))
	out, err = b.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
	require.EqualValues(t, 4, runs.Load(), "a and c once, b twice")
}

type resolverFunc func(class string) (orchestration.StepHandler, error)

func (f resolverFunc) ResolveHandler(_ context.Context, class string) (orchestration.StepHandler, error) {
	return f(class)
}

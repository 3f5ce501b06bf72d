package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestDiamond(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{
		"A": value(`{"n": 1606938044258990275541962092341162602522202993782792835301376, "f": 1.0e+20}`),
		"D": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			all, err := x.Results(ctx)
			require.NoError(t, err)
			require.Len(t, all, 3)
			results := func(step string) json.RawMessage {
				r, err := x.Result(ctx, step)
				require.NoError(t, err)
				return r
			}
			require.Equal(t, `{"n": 1606938044258990275541962092341162602522202993782792835301376, "f": 1.0e+20}`, string(results("a")))
			require.JSONEq(t, `{"step":"b"}`, string(results("b")))
			require.Nil(t, results("d"))
			return x.Result(ctx, "a")
		},
	})
	d := b.run(t, template(t, diamond, ""))
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Len(t, d.Steps, 4)
	for _, s := range d.Steps {
		require.Equal(t, orchestration.StepComplete, s.State)
		require.Equal(t, 1, s.Attempts)
		require.Len(t, s.History, 1)
		require.Equal(t, []string{"", "pending", "in_progress"}, froms(s.Transitions, true))
	}
	require.Equal(t, `{"n": 1606938044258990275541962092341162602522202993782792835301376, "f": 1.0e+20}`, string(step(t, d, "d").Results()))
	require.Equal(t, []string{"b", "c"}, step(t, d, "d").Parents)
	require.Equal(t, []string{"", "pending", "in_progress"}, froms(d.Transitions, false))
	require.False(t, d.EndedAt.IsZero())
	require.Equal(t, []orchestration.EventKind{"task_started", "step_started", "step_completed", "step_started", "step_started"}, kinds(b)[:5])
	require.Equal(t, orchestration.EventTaskEnded, kinds(b)[len(kinds(b))-1])
}

func froms(list []orchestration.Transition, step bool) []string {
	var from []string
	if step {
		from = append(from, "") // a new step has no row for pending
	}
	for _, w := range list {
		from = append(from, w.From)
	}
	return from
}

func kinds(b *bundle) []orchestration.EventKind {
	b.mu.Lock()
	defer b.mu.Unlock()
	var k []orchestration.EventKind
	for _, e := range b.events {
		k = append(k, e.Kind)
	}
	return k
}

// Independent steps run at the same time: each waits for the other.
func TestIndependentStepsRunTogether(t *testing.T) {
	t.Parallel()
	meet := make(chan struct{})
	wait := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		select {
		case meet <- struct{}{}:
		case <-meet:
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}
	d := engine(t, funcs{"B": wait, "C": wait}).run(t, template(t, diamond, "timeout_seconds: 20"))
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Equal(t, "null", string(step(t, d, "b").Results()))
}

func TestNotConcurrentTemplateRunsOneByOne(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	count := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		runtime.Gosched()
		return nil, nil
	}
	tpl := template(t, "a:\nb:\nc:\nd:", "")
	tpl.Concurrent = false
	d := engine(t, funcs{"A": count, "B": count, "C": count, "D": count}).run(t, tpl)
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.EqualValues(t, 1, most.Load())
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		more     string
		fail     func(attempt int) error
		state    orchestration.StepState
		attempts int
	}{
		{"fails once", "", failUntil(2, errors.New("once")), orchestration.StepComplete, 2},
		{"fails always", "", failUntil(99, errors.New("always")), orchestration.StepInError, 3},
		{"limit of one", "default_retry_limit: 1", failUntil(99, errors.New("x")), orchestration.StepInError, 1},
		{"limit of zero still has the first", "default_retry_limit: 0", failUntil(1, nil), orchestration.StepComplete, 1},
		{"not retryable", "default_retryable: false", failUntil(2, errors.New("x")), orchestration.StepInError, 1},
		{"permanent", "", failUntil(2, &orchestration.StepError{Class: "P", Permanent: true}), orchestration.StepInError, 1},
		{"permanent, wrapped", "", failUntil(2, errors.Wrap(&orchestration.StepError{Class: "P", Permanent: true}, "w")), orchestration.StepInError, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
				return nil, c.fail(x.Attempt)
			}})
			d := b.run(t, template(t, "a:\nb: a", c.more))
			a := step(t, d, "a")
			require.Equal(t, c.state, a.State)
			require.Equal(t, c.attempts, a.Attempts)
			require.Len(t, a.History, c.attempts)
			if c.state == orchestration.StepInError {
				require.Equal(t, orchestration.TaskInError, d.State)
				require.Equal(t, orchestration.StepPending, step(t, d, "b").State)
				require.NotEmpty(t, a.Last().Err.Class)
			} else {
				require.Equal(t, orchestration.TaskComplete, d.State)
			}
		})
	}
}

func failUntil(attempt int, err error) func(int) error {
	return func(n int) error {
		if n < attempt {
			return err
		}
		return nil
	}
}

func TestRetryAfterReplacesTheCurve(t *testing.T) {
	t.Parallel()
	asked := 37 * time.Second
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, &orchestration.StepError{Class: "R", Message: "later", RetryAfter: &asked, Context: json.RawMessage(`{"k":1}`),
			Cause: &orchestration.StepError{Class: "C", Message: "why"}, Backtrace: []string{"x.rb:1"}}
	}})
	id := b.submit(t, template(t, "a:", ""), "{}")
	out, err := b.Handle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInProgress, out.State)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	a := step(t, d, "a")
	require.Equal(t, orchestration.StepWaitingForRetry, a.State)
	require.WithinDuration(t, a.Last().EndedAt.Add(asked), a.NextAttempt, 0)
	require.WithinDuration(t, a.NextAttempt, out.Next, 0)
	require.Equal(t, asked, *a.Last().Err.RetryAfter)
	require.JSONEq(t, `{"k":1}`, string(a.Last().Err.Context))
	require.Equal(t, "why", a.Last().Err.Cause.Message)
	require.Equal(t, []string{"x.rb:1"}, a.Last().Err.Backtrace)
}

func TestIndependentBranchesRunToTheirEnd(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, &orchestration.StepError{Class: "P", Permanent: true}
	}})
	d := b.run(t, template(t, "bad:\nafter_bad: bad\ngood:\nbetter: good\nbest: better", ""))
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, map[string]orchestration.StepState{
		"bad": "error", "after_bad": "pending", "good": "complete", "better": "complete", "best": "complete",
	}, states(d))
}

func TestTasksLeaveNoGoroutineAndNoConnection(t *testing.T) {
	b := engine(t, nil)
	tpl := template(t, diamond, "")
	for range 20 {
		b.run(t, tpl)
	}
	goroutines := runtime.NumGoroutine()
	for range 200 {
		require.Equal(t, orchestration.TaskComplete, b.run(t, tpl).State)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return b.pool.Stat().AcquiredConns() == 0 }, patience, time.Millisecond)
	// Two commits, two loads, the waker and a call can be under way at a time.
	require.LessOrEqual(t, b.pool.Stat().TotalConns(), int32(6))
}

func TestHandleLeavesATaskBeforeItsRunAt(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	at := time.Now().Add(time.Hour)
	s, err := b.Submit(t.Context(), orchestration.Submission{Template: template(t, "a:", ""), RunAt: at})
	require.NoError(t, err)
	out, err := b.Handle(t.Context(), s.TaskID)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskPending, out.State)
	require.WithinDuration(t, at, out.Next, time.Millisecond)
}

func TestUnknownTask(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	_, err := b.Run(t.Context(), 404)
	require.ErrorIs(t, err, orchestration.ErrTaskNotFound)
	_, err = b.Task(t.Context(), 404)
	require.ErrorIs(t, err, orchestration.ErrTaskNotFound)
}

// A task of a thousand steps: a fan of 500, a chain of 498 beside it, and a step that
// waits for both. No part of the engine becomes disproportionately slow.
func TestThousandSteps(t *testing.T) {
	t.Parallel()
	var graph, last strings.Builder
	graph.WriteString("first:\nchain0: first\n")
	for i := range 500 {
		fmt.Fprintf(&graph, "fan%d: first\n", i)
		fmt.Fprintf(&last, " fan%d", i)
	}
	for i := 1; i < 498; i++ {
		fmt.Fprintf(&graph, "chain%d: chain%d\n", i, i-1)
	}
	tpl := template(t, graph.String()+"last: chain497"+last.String(), "")
	require.Len(t, tpl.Steps, 1000)
	began := time.Now()
	d := engine(t, nil).run(t, tpl)
	t.Logf("%v", time.Since(began).Round(time.Millisecond))
	require.Equal(t, orchestration.TaskComplete, d.State)
	for _, s := range d.Steps {
		require.Equal(t, 1, s.Attempts, s.Name)
	}
}

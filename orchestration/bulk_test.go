package orchestration_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// each collects what a bulk change says of each task.
func each(o orchestration.BulkOptions) (*[]orchestration.Changed, orchestration.BulkOptions) {
	var list []orchestration.Changed
	o.Each = func(c orchestration.Changed) { list = append(list, c) }
	return &list, o
}

func TestRetryByFilter(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": failing})
	tpl := template(t, "bad:", "default_retry_limit: 1")
	one, two := b.run(t, tpl).TaskID, b.run(t, tpl).TaskID
	f := orchestration.Filter{ErrorClass: "Gateway::Down"}
	would, o := each(orchestration.BulkOptions{By: ops, DryRun: true})
	done, err := b.RetryTasks(t.Context(), f, o)
	require.NoError(t, err)
	require.Equal(t, orchestration.BulkDone{Selected: 2}, done)
	require.Equal(t, []int64{two, one}, []int64{(*would)[0].TaskID, (*would)[1].TaskID})
	require.Equal(t, "bad: Gateway::Down", (*would)[0].FailedStep+": "+(*would)[0].ErrorClass)
	require.Equal(t, 2, b.inState(t, orchestration.TaskInError), "a dry run changes nothing")
	did, o := each(orchestration.BulkOptions{By: ops})
	done, err = b.RetryTasks(t.Context(), f, o)
	require.NoError(t, err)
	require.Equal(t, orchestration.BulkDone{Selected: 2, Changed: 2}, done)
	require.Equal(t, would, did)
	require.Equal(t, 2, b.inState(t, orchestration.TaskInProgress))
}

// submitPending submits n tasks.
func (b *bundle) submitPending(t *testing.T, n int) (ids []int64) {
	t.Helper()
	done, err := b.SubmitMany(t.Context(), many(n, orchestration.Submission{Template: template(t, diamond, ""), NoWake: true}))
	require.NoError(t, err)
	for _, d := range done {
		ids = append(ids, d.TaskID)
	}
	return ids
}

// A bulk change has no limit of its own, and goes on behind a task that it cannot change.
func TestBulkChangesAnyNumber(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	ids := b.submitPending(t, 1150)
	list, o := each(orchestration.BulkOptions{By: ops})
	first := o.Each
	o.Each = func(c orchestration.Changed) {
		if len(*list) == 0 { // the next batch is selected later
			require.NoError(t, b.CancelTask(t.Context(), ids[900], ops))
			require.NoError(t, b.CancelTask(t.Context(), ids[0], ops))
		}
		first(c)
	}
	done, err := b.CancelTasks(t.Context(), orchestration.Filter{Namespace: "ns"}, o)
	require.NoError(t, err)
	require.Equal(t, orchestration.BulkDone{Selected: 1148, Changed: 1148}, done)
	require.Equal(t, 1150, b.inState(t, orchestration.TaskCancelled))
	require.True(t, slices.IsSortedFunc(*list, func(a, b orchestration.Changed) int { return int(b.TaskID - a.TaskID) }))

	b.submitPending(t, 450)
	done, err = b.CancelTasks(t.Context(), orchestration.Filter{Limit: 430}, orchestration.BulkOptions{By: ops})
	require.NoError(t, err)
	require.Equal(t, orchestration.BulkDone{Selected: 430, Changed: 430}, done)
	require.Equal(t, 20, b.inState(t, orchestration.TaskPending))
}

// A task that another transaction holds on to, or that changes after it was selected, is
// reported, and the others are changed.
func TestBulkGoesOnBehindARefusedTask(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	ids := b.submitPending(t, 5)
	// Whoever holds the lock cancels the task himself.
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), "select from tasker.steps where task_id = $1 for update", ids[2])
	require.NoError(t, err)
	ended := make(chan error, 1)
	list, o := each(orchestration.BulkOptions{By: ops})
	go func() {
		_, err := b.CancelTasks(t.Context(), orchestration.Filter{}, o)
		ended <- err
	}()
	awaitLockWait(t, b)
	for _, sql := range []string{
		"update tasker.steps set state = 'cancelled', ended_at = now() where task_id = $1",
		"update tasker.tasks set state = 'cancelled', ended_at = now() where task_id = $1",
		"delete from tasker.queue where task_id = $1",
	} {
		_, err = tx.Exec(t.Context(), sql, ids[2])
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-ended)
	require.Len(t, *list, 5)
	for _, c := range *list {
		if c.TaskID == ids[2] {
			require.ErrorIs(t, c.Err, orchestration.ErrRefused)
		} else {
			require.NoError(t, c.Err)
		}
	}
	require.Equal(t, 5, b.inState(t, orchestration.TaskCancelled))
}

// When its context ends, it stops, and what it says is what was done.
func TestBulkStops(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	b.submitPending(t, 500)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	list, o := each(orchestration.BulkOptions{By: ops})
	first := o.Each
	o.Each = func(c orchestration.Changed) {
		cancel()
		first(c)
	}
	done, err := b.CancelTasks(ctx, orchestration.Filter{}, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 200, done.Changed)
	require.Len(t, *list, 200)
	require.Equal(t, 200, b.inState(t, orchestration.TaskCancelled))
}

func TestBulkResolves(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": failing})
	b.run(t, template(t, "bad:", "default_retry_limit: 1"))
	b.submitPending(t, 1)
	done, err := b.ResolveTasks(t.Context(), orchestration.Filter{}, orchestration.BulkOptions{By: ops})
	require.NoError(t, err)
	require.Equal(t, orchestration.BulkDone{Selected: 1, Changed: 1}, done)
	require.Equal(t, 1, b.inState(t, orchestration.TaskResolvedManually))
	require.Equal(t, 1, b.inState(t, orchestration.TaskPending))
}

func TestBulkRefusals(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	b.submitPending(t, 1)
	o := orchestration.BulkOptions{By: ops}
	_, err := b.CancelTasks(t.Context(), orchestration.Filter{States: []orchestration.TaskState{orchestration.TaskComplete}}, o)
	require.ErrorIs(t, err, orchestration.ErrRefused)
	_, err = b.RetryTasks(t.Context(), orchestration.Filter{States: []orchestration.TaskState{orchestration.TaskPending}}, o)
	require.ErrorIs(t, err, orchestration.ErrRefused)
	_, err = b.CancelTasks(t.Context(), orchestration.Filter{Limit: -1}, o)
	require.ErrorContains(t, err, "-1")
	_, err = b.CancelTasks(t.Context(), orchestration.Filter{}, orchestration.BulkOptions{})
	require.ErrorContains(t, err, "By.Actor")
	require.Equal(t, 1, b.inState(t, orchestration.TaskPending))
}

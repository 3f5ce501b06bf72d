package orchestration

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// BulkOptions say how many tasks are changed at once, with one call.
type BulkOptions struct {
	By     By   // required
	DryRun bool // only select the tasks
	// Each is called for each task, newest first, some hundred at a time. Optional.
	Each func(Changed)
}

// Changed is a task that a bulk change was made to, or would be made to.
type Changed struct {
	TaskSummary // from before the change
	// Err says why this task was not changed. It is ErrRefused if the task's state has
	// changed since it was selected, and ErrTaskNotFound if the task was pruned. If the
	// task stayed locked, it is an error that may pass.
	Err error
}

// BulkDone counts the tasks of a bulk change.
type BulkDone struct {
	Selected int // what the filter has selected, and was tried
	Changed  int // 0 in a dry run
}

// RetryTasks retries the tasks in error that the filter selects, as RetryTask does. A
// Filter.Limit of 0 means all of them, and it may be above 1000.
//
// Each task is changed in a transaction of its own. One that cannot be changed does not
// stop the others. When ctx ends, the changes under way are finished; the result then says
// what was done, and the error is ctx's.
func (e *Engine) RetryTasks(ctx context.Context, f Filter, o BulkOptions) (BulkDone, error) {
	return e.changeTasks(ctx, f, o, []TaskState{TaskInError}, e.RetryTask)
}

// ResolveTasks resolves the tasks in error that the filter selects, as ResolveTask does.
// For the rest see [Engine.RetryTasks].
func (e *Engine) ResolveTasks(ctx context.Context, f Filter, o BulkOptions) (BulkDone, error) {
	return e.changeTasks(ctx, f, o, []TaskState{TaskInError}, e.ResolveTask)
}

// CancelTasks cancels the tasks that the filter selects and that are pending, in progress
// or in error, as CancelTask does. For the rest see [Engine.RetryTasks].
func (e *Engine) CancelTasks(ctx context.Context, f Filter, o BulkOptions) (BulkDone, error) {
	return e.changeTasks(ctx, f, o, []TaskState{TaskPending, TaskInProgress, TaskInError}, e.CancelTask)
}

const (
	bulkBatch    = 200 // tasks that are selected at a time
	bulkParallel = 4   // and changed side by side, so that they share commits
)

// changeTasks makes a change to the tasks that the filter selects, if they are in one of
// the states.
func (e *Engine) changeTasks(ctx context.Context, f Filter, o BulkOptions, states []TaskState, change func(context.Context, int64, By) error) (done BulkDone, err error) {
	for _, s := range f.States {
		if !slices.Contains(states, s) {
			return done, errors.WithHintf(errorOf(ErrRefused, "tasks in state %q cannot be changed in this way", s), "These states allow it: %s.", joined(states))
		}
	}
	if len(f.States) == 0 {
		f.States = states
	}
	if strings.TrimSpace(o.By.Actor) == "" {
		return done, errNoActor()
	}
	if f.Limit < 0 {
		return done, errors.WithHint(errors.Newf("the limit is %d", f.Limit), "The limit must be 0 or more; 0 means all tasks.")
	}
	for left := f.Limit; ; {
		f.Limit = bulkBatch
		if left > 0 {
			f.Limit = min(left, bulkBatch)
		}
		list, err := e.Tasks(ctx, f)
		if err != nil {
			return done, err
		}
		changed, err := changeBatch(ctx, list, o, change)
		for _, c := range changed {
			done.Selected++
			if c.Err == nil && !o.DryRun {
				done.Changed++
			}
			if o.Each != nil {
				o.Each(c)
			}
		}
		if err != nil {
			return done, err
		}
		if left -= len(list); len(list) < f.Limit || left == 0 {
			return done, nil
		}
		f.Below = list[len(list)-1].TaskID
	}
}

// changeBatch returns the tasks that were tried, and the error that ended it, if one did.
func changeBatch(ctx context.Context, list []TaskSummary, o BulkOptions, change func(context.Context, int64, By) error) ([]Changed, error) {
	all := make([]Changed, len(list))
	tried := make([]bool, len(list))
	var next atomic.Int32
	var workers sync.WaitGroup
	var failed atomic.Pointer[error]
	for range bulkParallel {
		workers.Go(func() {
			for ctx.Err() == nil && failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(list) {
					return
				}
				all[i] = Changed{TaskSummary: list[i]}
				if !o.DryRun {
					// Not cut short: otherwise nobody would know whether it has happened.
					err := change(context.WithoutCancel(ctx), list[i].TaskID, o.By)
					if err != nil && !concernsOneTask(err) {
						failed.CompareAndSwap(nil, &err)
						return
					}
					all[i].Err = err
				}
				tried[i] = true
			}
		})
	}
	workers.Wait()
	var out []Changed
	for i, c := range all {
		if tried[i] {
			out = append(out, c)
		}
	}
	if err := failed.Load(); err != nil {
		return out, *err
	}
	return out, ctx.Err()
}

// concernsOneTask reports whether the next task may be tried after the error.
func concernsOneTask(err error) bool {
	return errors.Is(err, ErrRefused) || errors.Is(err, ErrTaskNotFound) || sqlsession.Passing(err) && !sqlsession.ConnectionLost(err)
}

func joined(states []TaskState) string { return strings.Join(texts(states), ", ") }

package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// Filter selects tasks. A zero field selects all.
type Filter struct {
	Namespace, Name, Version string
	States                   []TaskState
	Tags                     []string // the task must have all of them
	// CreatedAfter and CreatedBefore limit the time of submission.
	CreatedAfter, CreatedBefore time.Time
	// BegunBefore selects the tasks in progress that were begun before that time.
	BegunBefore time.Time
	// ErrorClass is the class of the latest error of a failed or waiting step.
	ErrorClass string

	// Below selects tasks with smaller numbers. It continues a list.
	Below int64
	// Limit is the length of the list. Default 50, at most 1000.
	Limit int
}

// TaskSummary is one task in a list.
type TaskSummary struct {
	TaskID                   int64
	Namespace, Name, Version string
	State                    TaskState
	Tags                     []string
	Priority                 int16
	CreatedAt                time.Time
	EndedAt                  time.Time // zero until the task has ended
	// DueAt is when a worker will look at the task; zero once it has ended.
	DueAt time.Time
	// Held says that a worker has leased the task.
	Held bool
	// Steps counts all steps, Done the complete and resolved ones, and Failed the ones
	// in error.
	Steps, Done, Failed int
	// FailedStep is the first step in error, or else the first that waits for a retry.
	// ErrorClass is the class of its latest error.
	FailedStep, ErrorClass string
	// WaitsFor says why no worker takes the task. It is nil unless the task is ready, nobody
	// holds it, and workers live, of which none takes it.
	WaitsFor *Unserved

	ready bool // and nobody holds it
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Tasks lists tasks, newest first.
func (e *Engine) Tasks(ctx context.Context, f Filter) ([]TaskSummary, error) {
	return ListTasks(ctx, e.pool, f)
}

// ListTasks is [Engine.Tasks] without an engine.
func ListTasks(ctx context.Context, db Querier, f Filter) ([]TaskSummary, error) {
	if f.Limit < 0 || f.Limit > maxList {
		return nil, errors.WithHintf(errors.Newf("the limit of a list is %d", f.Limit),
			"It must be from 1 to %d; Filter.Below continues a list.", maxList)
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	if err := f.checkStates(); err != nil {
		return nil, err
	}
	list, err := newListing(f).query(ctx, db)
	if err != nil {
		return nil, errors.Wrap(err, "listing tasks")
	}
	var ready []int64
	for _, t := range list {
		if t.ready {
			ready = append(ready, t.TaskID)
		}
	}
	why, err := unserved(ctx, db, ready)
	for i := range list {
		list[i].WaitsFor = why[list[i].TaskID]
	}
	return list, err
}

const maxList = 1000

// CountTasks counts the tasks that the filter selects. Its limit does not matter.
func (e *Engine) CountTasks(ctx context.Context, f Filter) (int, error) {
	return CountTasks(ctx, e.pool, f)
}

// CountTasks is [Engine.CountTasks] without an engine. It takes time in proportion to the
// number.
func CountTasks(ctx context.Context, db Querier, f Filter) (int, error) {
	if err := f.checkStates(); err != nil {
		return 0, err
	}
	n, err := newListing(f).countAll(ctx, db)
	return n, errors.Wrap(err, "counting tasks")
}

func (f Filter) checkStates() error {
	for _, s := range f.States {
		if _, known := TaskTransitions[s]; !known {
			return errors.WithHint(errors.Newf("there is no task state %q", s),
				"The states are pending, in_progress, complete, error, cancelled and resolved_manually.")
		}
	}
	return nil
}

func scanSummary(row pgx.CollectableRow) (TaskSummary, error) {
	var t TaskSummary
	var ended *time.Time
	err := row.Scan(&t.TaskID, &t.Namespace, &t.Name, &t.Version, &t.State, &t.Tags, &t.Priority, &t.CreatedAt, &ended, &t.DueAt,
		&t.Held, &t.ready, &t.Steps, &t.Done, &t.Failed, &t.FailedStep, &t.ErrorClass)
	t.EndedAt = orZero(ended)
	if t.State.Final() {
		t.DueAt = time.Time{}
	}
	return t, err
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

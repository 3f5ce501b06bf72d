package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksRetry() *cobra.Command {
	c := &taskChange{
		words: taskChangeWords{verb: "retry", doing: "retrying", all: "every failed task", done: "is to be retried", past: "retried", ofStep: "is to be retried"},
		one: func(ctx context.Context, e *orchestration.Engine, id int64, by orchestration.By) error {
			return e.RetryTask(ctx, id, by)
		},
		many: func(ctx context.Context, e *orchestration.Engine, f orchestration.Filter, o orchestration.BulkOptions) (orchestration.BulkDone, error) {
			return e.RetryTasks(ctx, f, o)
		},
		step: func(cmd *cobra.Command, e *orchestration.Engine, id int64, step string, by orchestration.By) error {
			return e.RetryStep(cmd.Context(), id, step, by)
		},
	}
	return c.command(&cobra.Command{
		Short: "Retry failed steps, with all their attempts",
		Long: `Retry the failed steps of a task, or one step with --step. Without a task
number, retry all tasks that ended in error and match the filters; --dry-run
only prints which ones. ^C stops after the tasks under way.`,
		Example: `  tasker-rb tasks retry 42 --reason "the gateway is back"
  tasker-rb tasks retry --name fulfill_order --error-class Gateway::Down --dry-run`,
	})
}

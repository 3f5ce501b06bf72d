package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksCancel() *cobra.Command {
	c := &taskChange{
		words: taskChangeWords{verb: "cancel", doing: "cancelling", all: "every task", done: "is cancelled", past: "cancelled", ofStep: "is cancelled"},
		one: func(ctx context.Context, e *orchestration.Engine, id int64, by orchestration.By) error {
			return e.CancelTask(ctx, id, by)
		},
		many: func(ctx context.Context, e *orchestration.Engine, f orchestration.Filter, o orchestration.BulkOptions) (orchestration.BulkDone, error) {
			return e.CancelTasks(ctx, f, o)
		},
		step: func(cmd *cobra.Command, e *orchestration.Engine, id int64, step string, by orchestration.By) error {
			return e.CancelStep(cmd.Context(), id, step, by)
		},
	}
	cmd := c.command(&cobra.Command{
		Short: "Cancel a task, or a step and the steps that depend on it; running handlers are interrupted",
		Long: `Cancel a task, or with --step one step and the steps that depend on it. Running
handlers are interrupted. Without a task number, cancel all tasks that match the
filters and are pending, in progress or in error; --dry-run only prints which
ones. ^C stops after the tasks under way.`,
		Example: `  tasker-rb tasks cancel 42 --reason "the customer changed their mind"
  tasker-rb tasks cancel 42 --step send_newsletter
  tasker-rb tasks cancel --name import --state pending --dry-run`,
	})
	c.filter.addStates(cmd, "with filters: only tasks in `STATE`: pending, in_progress or error, may be repeated")
	c.filter.addRunning(cmd)
	return cmd
}

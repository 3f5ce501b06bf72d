package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksResolve() *cobra.Command {
	var results string
	c := &taskChange{
		words: taskChangeWords{verb: "resolve", doing: "resolving", all: "every failed task", done: "is resolved", past: "resolved", ofStep: "is resolved"},
		one: func(ctx context.Context, e *orchestration.Engine, id int64, by orchestration.By) error {
			return e.ResolveTask(ctx, id, by)
		},
		many: func(ctx context.Context, e *orchestration.Engine, f orchestration.Filter, o orchestration.BulkOptions) (orchestration.BulkDone, error) {
			return e.ResolveTasks(ctx, f, o)
		},
		step: func(cmd *cobra.Command, e *orchestration.Engine, id int64, step string, by orchestration.By) error {
			document, err := readDocument(cmd.Context(), "results", results, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if results == "" {
				document = json.RawMessage("{}")
			}
			return e.ResolveStep(cmd.Context(), id, step, document, by)
		},
		ofStep: []string{"results"},
	}
	cmd := c.command(&cobra.Command{
		Short: "Resolve a failed task, or a step with results that you give",
		Long: `Declare a task that ended in error resolved; its steps do not change. With --step,
give results to one step that is not running. The step then counts as done, and the
steps that depend on it can run.

Without a task number, resolve all tasks that ended in error and match the
filters; --dry-run only prints which ones. ^C stops after the tasks under way.`,
		Example: `  tasker-rb tasks resolve 42 --step charge --results '{"charge_id": "manual-7"}' --reason "charged by phone"
  tasker-rb tasks resolve 42 --reason "refunded"
  tasker-rb tasks resolve --error-class Card::Expired --older-than 30d --reason "no longer needed"`,
	})
	cmd.Flags().StringVar(&results, "results", "", "the step's results: `JSON`, @FILE, or - for standard input (default {})")
	return cmd
}

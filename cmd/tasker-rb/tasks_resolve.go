package main

import (
	"encoding/json"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksResolve() *cobra.Command {
	var by operatorFlags
	var step, results string
	cmd := &cobra.Command{
		Use:   "resolve TASK",
		Short: "Resolve a failed task, or a step with results that you give",
		Example: `  tasker-rb tasks resolve 42 --step charge --results '{"charge_id": "manual-7"}' --reason "charged by phone"
  tasker-rb tasks resolve 42 --reason "refunded"`,
		Args: exactly("TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := taskID(args[0])
			if err != nil {
				return err
			}
			if step == "" && results != "" {
				return errors.WithHint(errors.New("--results needs a step"), "Name it with --step.")
			}
			document, err := readDocument("results", results, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if step != "" && results == "" {
				document = json.RawMessage("{}")
			}
			return withEngine(cmd, func(e *orchestration.Engine) error {
				if step != "" {
					return printDone(cmd, e.ResolveStep(cmd.Context(), id, step, document, by.by()), "task %d: step %s is resolved", id, step)
				}
				return printDone(cmd, e.ResolveTask(cmd.Context(), id, by.by()), "task %d is resolved", id)
			})
		},
	}
	by.add(cmd)
	cmd.Flags().StringVar(&step, "step", "", "only the step `NAME`; its children then run")
	cmd.Flags().StringVar(&results, "results", "", "the step's results: `JSON`, @FILE, or - for standard input (default {})")
	return cmd
}

package main

import (
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksCancel() *cobra.Command {
	var by operatorFlags
	var step string
	cmd := &cobra.Command{
		Use:   "cancel TASK",
		Short: "Cancel a task, or a step and the steps that depend on it; running handlers are interrupted",
		Example: `  tasker-rb tasks cancel 42 --reason "the customer changed their mind"
  tasker-rb tasks cancel 42 --step send_newsletter`,
		Args: exactly("TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := taskID(args[0])
			if err != nil {
				return err
			}
			return withEngine(cmd, func(e *orchestration.Engine) error {
				if step != "" {
					return printDone(cmd, e.CancelStep(cmd.Context(), id, step, by.by()), "task %d: step %s is cancelled", id, step)
				}
				return printDone(cmd, e.CancelTask(cmd.Context(), id, by.by()), "task %d is cancelled", id)
			})
		},
	}
	by.add(cmd)
	cmd.Flags().StringVar(&step, "step", "", "only the step `NAME`")
	return cmd
}

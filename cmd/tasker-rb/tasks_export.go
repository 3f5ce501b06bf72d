package main

import (
	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksExport() *cobra.Command {
	var redacted []string
	cmd := &cobra.Command{
		Use:   "export TASK",
		Short: "Write a task as JSON, to repeat it elsewhere",
		Long: `Write a task as one JSON document: its template, its context, and the attempts and
results of each step. "run --from" repeats it on any machine. Look at what is in
it before you pass it on; --redact replaces a value by "[redacted]".`,
		Example: `  tasker-rb tasks export 42 > task.json
  tasker-rb tasks export 42 --redact context.card.number --redact 'steps.*.results.token' > task.json`,
		Args: exactly("TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := taskID(args[0])
			if err != nil {
				return err
			}
			return withEngine(cmd, func(e *orchestration.Engine) error {
				export, err := e.Export(cmd.Context(), id)
				if err != nil {
					return err
				}
				if len(redacted) > 0 {
					if export, err = export.Redact(redacted...); err != nil {
						return err
					}
				}
				document, err := export.Encode()
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(document)
				return errors.WithHint(errors.Wrap(err, "writing the export"), "The file is not complete; export the task again.")
			})
		},
	}
	cmd.Flags().StringArrayVar(&redacted, "redact", nil, "replace the values at `PATH`, such as context.items[*].email; may be repeated")
	return cmd
}

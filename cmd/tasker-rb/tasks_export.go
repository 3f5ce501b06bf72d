package main

import (
	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

type exportCommand struct {
	redacted []string
	spec     string
}

func newTasksExport() *cobra.Command {
	x := &exportCommand{}
	cmd := &cobra.Command{
		Use:   "export TASK [FILE]",
		Short: "Write a task as JSON, to repeat it elsewhere, or as a spec",
		Long: `Write a task as one JSON document: its template, its context, and the attempts and
results of each step. "run --from" repeats it on any machine. Look at what is in
it before you pass it on; --redact replaces a value by "[redacted]".

With --spec it writes a spec for "tasker-rb test" that repeats the task: with its
context, with the recorded results in place of the steps that were done, and with
the recorded failure as what is expected. It goes to FILE, or to standard output.`,
		Example: `  tasker-rb tasks export 42 > task.json
  tasker-rb tasks export 42 --redact context.card.number --redact 'steps.*.results.token' > task.json
  tasker-rb tasks export 42 --spec spec/order_42_spec.rb`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("spec") && len(args) == 2 {
				return nil
			}
			return exactly("TASK")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return x.run(cmd, args) },
	}
	cmd.Flags().StringArrayVar(&x.redacted, "redact", nil, "replace the values at `PATH`, such as context.items[*].email; may be repeated")
	cmd.Flags().StringVar(&x.spec, "spec", "", "write a spec for `FRAMEWORK`: rspec or minitest; without a value RSpec if there is a folder spec, else minitest")
	cmd.Flags().Lookup("spec").NoOptDefVal = chosenByFolder
	return cmd
}

func (x *exportCommand) run(cmd *cobra.Command, args []string) error {
	id, err := taskID(args[0])
	if err != nil {
		return err
	}
	var spec *specFile
	if cmd.Flags().Changed("spec") {
		path := ""
		if len(args) == 2 {
			path = args[1]
		}
		chosen, err := chooseSpec(x.spec, path)
		if err != nil {
			return err
		}
		spec = &chosen
	}
	return withEngine(cmd, func(e *orchestration.Engine) error {
		export, err := e.Export(cmd.Context(), id)
		if err != nil {
			return err
		}
		if len(x.redacted) > 0 {
			if export, err = export.Redact(x.redacted...); err != nil {
				return err
			}
		}
		if spec != nil {
			return spec.write(cmd, export)
		}
		document, err := export.Encode()
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(document)
		return errors.WithHint(errors.Wrap(err, "writing the export"), "The file is not complete; export the task again.")
	})
}

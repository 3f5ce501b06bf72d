package main

import (
	"os"
	"path/filepath"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

type exportCommand struct {
	redacted []string
	spec     string
	output   string
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
the recorded failure as what is expected.

It goes to FILE, which must be new. Without FILE, and with - for FILE, it goes to
standard output. With --output json an error is JSON, and so is the line about
FILE.`,
		Example: `  tasker-rb tasks export 42 task.json
  tasker-rb tasks export 42 --redact context.card.number --redact 'steps.*.results.token' > task.json
  tasker-rb tasks export 42 --spec spec/order_42_spec.rb`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exactly("TASK", "FILE")(cmd, args)
			}
			return exactly("TASK")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return x.run(cmd, args) },
	}
	cmd.Flags().StringArrayVar(&x.redacted, "redact", nil, "replace the values at `PATH`, such as context.items[*].email; may be repeated")
	cmd.Flags().StringVar(&x.spec, "spec", "", "write a spec for `FRAMEWORK`: rspec or minitest; without a value RSpec if there is a folder spec, else minitest")
	cmd.Flags().Lookup("spec").NoOptDefVal = chosenByFolder
	cmd.Flags().StringVar(&x.output, "output", "text", "print errors, and what was written to FILE, as `FORMAT`: text or json")
	return cmd
}

func (x *exportCommand) run(cmd *cobra.Command, args []string) error {
	if err := oneOf("output", x.output, "text", "json"); err != nil {
		return err
	}
	path := ""
	if len(args) == 2 && args[1] != "-" {
		path = args[1]
	}
	if x.output == "json" && cmd.Flags().Changed("spec") && path == "" {
		return errors.WithHint(errors.New("--output json needs FILE: without it, the spec itself goes to standard output"), "Name a FILE for the spec, or leave --output out.")
	}
	id, err := taskID(args[0])
	if err != nil {
		return err
	}
	var spec *specFile
	if cmd.Flags().Changed("spec") {
		chosen, err := chooseSpec(x.spec, path)
		if err != nil {
			return err
		}
		spec = &chosen
	} else if err := checkExportFile(path); err != nil {
		return err
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
			return spec.write(cmd, export, x.output == "json")
		}
		document, err := export.Encode()
		if err != nil {
			return err
		}
		if path != "" {
			return x.writeFile(cmd, path, id, document)
		}
		_, err = cmd.OutOrStdout().Write(document)
		return errors.WithHint(errors.Wrap(err, "writing the export"), "The file is not complete; export the task again.")
	})
}

// checkExportFile refuses a FILE that the document cannot be for, before the database is asked.
func checkExportFile(path string) error {
	switch {
	case filepath.Ext(path) == ".rb":
		return errors.WithHint(errors.Newf("%s is the name of a Ruby file, and the export is JSON", path), "Give --spec to write a spec.")
	case path != "" && exists(path):
		return existsAlready(path)
	}
	return nil
}

func (x *exportCommand) writeFile(cmd *cobra.Command, path string, id int64, document []byte) error {
	if err := writeNewFile(path, document); err != nil {
		return err
	}
	if x.output == "json" {
		return printJSON(cmd.OutOrStdout(), map[string]any{"task_id": id, "file": path})
	}
	return printDone(cmd, nil, "%s has task %d; repeat it with %s", path, id, repeatExport(path))
}

func existsAlready(path string) error {
	return errors.WithHint(errors.Newf("the file %s exists already", path), "Name a new file, or remove that one.")
}

// writeNewFile writes a file that must not be there yet.
func writeNewFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = f.Write(content)
		err = errors.CombineErrors(err, f.Close())
	}
	return errors.WithHint(errors.Wrapf(lastCause(err), "%s cannot be written", path), "Name a file in a folder that exists and that you can write.")
}

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// runFrom repeats the task of --from, or one step of it.
func (r *runCommand) runFrom(cmd *cobra.Command) error {
	if err := r.checkFlags(cmd); err != nil {
		return err
	}
	for _, flag := range []string{"context", "env"} {
		if cmd.Flags().Changed(flag) {
			return errors.WithHintf(errors.Newf("--%s cannot be given with --from: the recorded task has its own", flag),
				"Leave --%s out, or change it in the file.", flag)
		}
	}
	export, err := readExport(cmd.Context(), r.from, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if r.only != "" {
		if err := (orchestration.TryOptions{Export: export, Step: r.only}).Check(); err != nil {
			return err
		}
	}
	for _, path := range export.Redacted {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s is redacted; handlers see \"[redacted]\" there\n", printable(path))
	}
	t := export.Task.Template
	if err := r.results.check(t); err != nil {
		return err
	}
	if len(r.handlers.named(r.from)) == 0 && len(r.handlers.requires) == 0 && isFolder("handlers") {
		r.handlers.dirs = []string{"handlers"} // the file may be anywhere, and the command is given in the project
	}
	return r.withHandlers(cmd, r.newPool(), r.from, t, func(h *handlersReady) error {
		ctx := cmd.Context()
		if r.only != "" {
			if err := resolveRecorded(ctx, h.host, r.from, t.Step(r.only)); err != nil {
				return err
			}
			return r.try(cmd, h, export)
		}
		if err := resolveRecorded(ctx, h.host, r.from, t.Steps...); err != nil {
			return err
		}
		err := r.execute(ctx, h, submissionOf(export))
		var wrong *templates.ContextError
		if errors.As(err, &wrong) && len(export.Redacted) > 0 {
			return errors.WithHintf(err, "A redacted value may not fit the schema; put one of yours in its place in %s.", r.from)
		}
		return err
	})
}

// submissionOf is the recorded task as a new one. It has no identity key: with it, the
// database would find the recorded task.
func submissionOf(x *orchestration.Export) orchestration.Submission {
	t := x.Task
	return orchestration.Submission{
		Template: t.Template, Context: t.Context, Initiator: t.Initiator, Reason: t.Reason, Tags: t.Tags, Priority: t.Priority,
	}
}

func readExport(ctx context.Context, file string, stdin io.Reader) (*orchestration.Export, error) {
	var document []byte
	var err error
	name := file
	if file == "-" {
		name = "standard input"
		document, err = readInput(ctx, stdin)
	} else {
		document, err = readFile(ctx, file)
	}
	if err != nil {
		return nil, errors.WithHint(errors.Newf("--from: %s cannot be read: %v", name, lastCause(err)),
			"Name a file that `tasker-rb tasks export TASK` wrote, or - for standard input.")
	}
	export, err := orchestration.DecodeExport(document)
	if ext := filepath.Ext(file); errors.Is(err, orchestration.ErrNoExport) && (ext == ".yaml" || ext == ".yml") {
		return nil, errors.WithHintf(errors.Newf("%s is not a task that tasks export wrote", file),
			"`tasker-rb run %s` runs a template; --from takes a file that `tasker-rb tasks export TASK` wrote.", file)
	}
	return export, errors.Wrap(err, name)
}

// resolveRecorded is resolveHandlers for steps of an export.
func resolveRecorded(ctx context.Context, host *rubyhost.Host, file string, steps ...*templates.Step) error {
	var problems templates.Problems
	for _, step := range steps {
		_, err := host.Handler(ctx, step.HandlerClass)
		var ruby *rubyhost.Error
		if errors.As(err, &ruby) {
			problems.List = append(problems.List, templates.Problem{File: file,
				Message: "the handler of step " + step.Name + ": " + ruby.Message,
				Hint:    "Say where its class is with --handlers DIR or --require FILE."})
		} else if err != nil {
			return err
		}
	}
	if len(problems.List) > 0 {
		return &problems
	}
	return nil
}

package main

import (
	"encoding/json"
	"fmt"
	"os/user"
	"strconv"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasks() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tasks",
		Short: "See tasks, and set right what went wrong",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTasksList(), newTasksShow(), newTasksRetry(), newTasksResolve(), newTasksCancel())
	return cmd
}

// byFlags say who does something and why, for the audit.
type byFlags struct{ actor, reason string }

func (f *byFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.actor, "by", "", "`NAME` of who does it, for the task's record (default this user)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "`TEXT` that says why, for the task's record")
}

func (f *byFlags) by() orchestration.By {
	actor := f.actor
	if actor == "" {
		actor = "unknown"
		if u, err := user.Current(); err == nil {
			actor = u.Username
		}
	}
	return orchestration.By{Actor: actor, Reason: f.reason}
}

func taskID(arg string) (int64, error) {
	id, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || id < 1 {
		return 0, errors.WithHint(errors.Newf("%q is not the number of a task", arg), "`tasker-rb tasks list` shows them.")
	}
	return id, nil
}

func newTasksResolve() *cobra.Command {
	var by byFlags
	var step, results string
	cmd := &cobra.Command{
		Use:   "resolve TASK",
		Short: "Settle a failed task by hand, or end a step with results of yours",
		Example: `  tasker-rb tasks resolve 42 --step charge --results '{"charge_id": "manual-7"}' --reason "charged by phone"
  tasker-rb tasks resolve 42 --reason "refunded"`,
		Args: exactly("TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := taskID(args[0])
			if err != nil {
				return err
			}
			if step == "" && results != "" {
				return errors.WithHint(errors.New("--results are those of a step"), "Name it with --step.")
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
					return did(cmd, e.ResolveStep(cmd.Context(), id, step, document, by.by()), "task %d: step %s is resolved", id, step)
				}
				return did(cmd, e.ResolveTask(cmd.Context(), id, by.by()), "task %d is resolved", id)
			})
		},
	}
	by.add(cmd)
	cmd.Flags().StringVar(&step, "step", "", "the step `NAME`, whose children then run")
	cmd.Flags().StringVar(&results, "results", "", "what the step is to end with: `JSON`, @FILE, or - for standard input (default {})")
	return cmd
}

func newTasksCancel() *cobra.Command {
	var by byFlags
	var step string
	cmd := &cobra.Command{
		Use:   "cancel TASK",
		Short: "End a task, or a step and what depends on it; running handlers are interrupted",
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
					return did(cmd, e.CancelStep(cmd.Context(), id, step, by.by()), "task %d: step %s is cancelled", id, step)
				}
				return did(cmd, e.CancelTask(cmd.Context(), id, by.by()), "task %d is cancelled", id)
			})
		},
	}
	by.add(cmd)
	cmd.Flags().StringVar(&step, "step", "", "only the step `NAME`")
	return cmd
}

// did says what was done, unless it was not.
func did(cmd *cobra.Command, err error, format string, args ...any) error {
	if err == nil {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	}
	return err
}

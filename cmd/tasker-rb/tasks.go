package main

import (
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
		Short: "Show tasks, export, retry, resolve or cancel them, and delete old ones",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTasksList(), newTasksShow(), newTasksRetry(), newTasksResolve(), newTasksCancel(), newTasksPrune(), newTasksExport())
	return cmd
}

// operatorFlags name the operator and the reason of a change, for the audit.
type operatorFlags struct{ actor, reason string }

func (f *operatorFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.actor, "by", "", "`NAME` of the operator, for the audit (default this user)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "reason `TEXT`, for the audit")
}

func (f *operatorFlags) by() orchestration.By {
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

// printDone prints what was done. If err is not nil, it prints nothing and returns
// err.
func printDone(cmd *cobra.Command, err error, format string, args ...any) error {
	if err == nil {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	}
	return err
}

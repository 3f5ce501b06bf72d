package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

type retryCommand struct {
	by     operatorFlags
	filter filterFlags
	step   string
	output string
	dryRun bool
}

func newTasksRetry() *cobra.Command {
	r := &retryCommand{}
	cmd := &cobra.Command{
		Use:   "retry [TASK]",
		Short: "Retry failed steps, with all their attempts",
		Long: `Retry the failed steps of a task, or one step with --step. Without a task
number, retry all tasks that ended in error and match the filters; --dry-run
only prints which ones.`,
		Example: `  tasker-rb tasks retry 42 --reason "the gateway is back"
  tasker-rb tasks retry --name fulfill_order --error-class Gateway::Down --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("TASK")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return r.retryMany(cmd)
			}
			return r.retryOne(cmd, args[0])
		},
	}
	r.by.add(cmd)
	r.filter.add(cmd, false)
	cmd.Flags().StringVar(&r.step, "step", "", "only the step `NAME`")
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "print which tasks, and change nothing")
	cmd.Flags().StringVar(&r.output, "output", "text", "with filters: print as `FORMAT`: text or json")
	return cmd
}

func (r *retryCommand) retryOne(cmd *cobra.Command, arg string) error {
	id, err := taskID(arg)
	if err != nil {
		return err
	}
	for _, name := range append([]string{"dry-run", "output", "limit"}, narrowingFlags...) {
		if cmd.Flags().Changed(name) {
			return errors.WithHintf(errors.Newf("--%s is for retrying many tasks", name), "Leave out the task number or --%s.", name)
		}
	}
	return withEngine(cmd, func(e *orchestration.Engine) error {
		if r.step != "" {
			return printDone(cmd, e.RetryStep(cmd.Context(), id, r.step, r.by.by()), "task %d: step %s is to be retried", id, r.step)
		}
		return printDone(cmd, e.RetryTask(cmd.Context(), id, r.by.by()), "task %d is to be retried", id)
	})
}

func (r *retryCommand) retryMany(cmd *cobra.Command) error {
	if err := oneOf("output", r.output, "text", "json"); err != nil {
		return err
	}
	if r.step != "" {
		return errors.WithHint(errors.New("--step needs a task number"), "Name the task.")
	}
	if !r.filter.narrows(cmd) {
		return errors.WithHint(errors.New("retrying every failed task needs a filter"), "Give a task, or --namespace, --name, --error-class, --newer-than and the like.")
	}
	f, err := r.filter.filter()
	if err != nil {
		return err
	}
	return withEngine(cmd, func(e *orchestration.Engine) error {
		list, err := e.RetryTasks(cmd.Context(), f, r.by.by(), r.dryRun)
		if err != nil {
			return err
		}
		if r.output == "json" {
			return r.printJSON(cmd.OutOrStdout(), list)
		}
		return r.print(cmd.OutOrStdout(), list)
	})
}

func (r *retryCommand) print(w io.Writer, list []orchestration.Retried) error {
	done := 0
	for _, t := range list {
		what := "is to be retried"
		switch {
		case t.Err != nil:
			what = "is not retried, " + t.Err.Error()
		case r.dryRun:
			what = "would be retried"
		default:
			done++
		}
		fmt.Fprintf(w, "task %d %s (%s/%s %s, %s)\n", t.TaskID, what, t.Namespace, t.Name, t.Version, problemText(t.TaskSummary))
	}
	total := plural(len(list), "task")
	if !r.dryRun && done < len(list) {
		total = fmt.Sprintf("%d of %s", done, total)
	}
	if len(list) == r.filter.limit {
		total += fmt.Sprintf("; there may be more than --limit %d", r.filter.limit)
	}
	_, err := fmt.Fprintln(w, total)
	return err
}

func (r *retryCommand) printJSON(w io.Writer, list []orchestration.Retried) error {
	type retried struct {
		summaryJSON
		Retried bool    `json:"retried"`
		Refused *string `json:"refused"`
	}
	out := make([]retried, len(list))
	for i, t := range list {
		out[i] = retried{summaryJSON: summaryOf(t.TaskSummary), Retried: !r.dryRun && t.Err == nil}
		if t.Err != nil {
			why := t.Err.Error()
			out[i].Refused = &why
		}
	}
	return json.NewEncoder(w).Encode(out)
}

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksList() *cobra.Command {
	var filter filterFlags
	var output string
	var count bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, the newest first",
		Example: `  tasker-rb tasks list --state error
  tasker-rb tasks list --name fulfill_order --newer-than 24h --output json
  tasker-rb tasks list --running-longer-than 10m
  tasker-rb tasks list --state error --count`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			f, err := filter.filter(cmd)
			if err != nil {
				return err
			}
			if count && cmd.Flags().Changed("limit") {
				return errors.WithHint(errors.New("--count has no --limit"), "Leave out one of the two.")
			}
			return withEngine(cmd, func(e *orchestration.Engine) error {
				if count {
					n, err := e.CountTasks(cmd.Context(), f)
					if err != nil {
						return err
					}
					return printCount(cmd, n, output)
				}
				list, err := e.Tasks(cmd.Context(), f)
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), summariesJSON(list))
				}
				return printList(cmd, list, filter.limit)
			})
		},
	}
	filter.add(cmd)
	filter.addLimit(cmd, 50, "at most `N`, up to 1000")
	filter.addStates(cmd, "only tasks in `STATE`, may be repeated")
	filter.addRunning(cmd)
	cmd.Flags().Int64Var(&filter.below, "below", 0, "continue a list: only tasks with numbers below `N`")
	cmd.Flags().BoolVar(&count, "count", false, "print only how many tasks there are")
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func printCount(cmd *cobra.Command, n int, output string) error {
	text := fmt.Sprint(n)
	if output == "json" {
		text = fmt.Sprintf(`{"count": %d}`, n)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

func printList(cmd *cobra.Command, list []orchestration.TaskSummary, limit int) error {
	out := cmd.OutOrStdout()
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no tasks")
		return err
	}
	rows := make([][]string, len(list))
	for i, s := range list {
		rows[i] = []string{fmt.Sprint(s.TaskID), s.Namespace + "/" + s.Name + " " + s.Version, string(s.State), fmt.Sprintf("%d/%d", s.Done, s.Steps),
			s.CreatedAt.Local().Format(time.DateTime), problemText(s)}
	}
	if err := printTable(out, []string{"TASK", "NAME", "STATE", "STEPS", "SUBMITTED", "PROBLEM"}, rows); err != nil {
		return err
	}
	if len(list) == limit {
		_, err := fmt.Fprintf(out, "more: --below %d\n", list[len(list)-1].TaskID)
		return err
	}
	return nil
}

// problemText names the step that failed or waits for its next attempt, and its error. It
// says why no worker takes the task.
func problemText(s orchestration.TaskSummary) string {
	var problems []string
	if s.FailedStep != "" {
		problems = append(problems, s.FailedStep+": "+printable(s.ErrorClass))
	}
	if s.WaitsFor != nil {
		problems = append(problems, printable(s.WaitsFor.String()))
	}
	return strings.Join(problems, "; ")
}

type summaryJSON struct {
	TaskID     int64    `json:"task_id"`
	Namespace  string   `json:"namespace"`
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Status     string   `json:"status"`
	Tags       []string `json:"tags"`
	Priority   int16    `json:"priority"`
	CreatedAt  *moment  `json:"created_at"`
	EndedAt    *moment  `json:"ended_at"`
	DueAt      *moment  `json:"due_at"`
	Held       bool     `json:"held"`
	Steps      int      `json:"steps"`
	Done       int      `json:"done"`
	Failed     int      `json:"failed"`
	FailedStep *string  `json:"failed_step"`
	ErrorClass *string  `json:"error_class"`

	WaitsFor *unservedJSON `json:"waits_for"`
}

// unservedJSON says why no living worker takes a task that is ready.
type unservedJSON struct {
	Message   string   `json:"message"`
	Classes   []string `json:"classes,omitempty"`
	Queue     string   `json:"queue,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name,omitempty"`
}

func unservedAsJSON(u *orchestration.Unserved) *unservedJSON {
	if u == nil {
		return nil
	}
	return &unservedJSON{Message: u.String(), Classes: u.Classes, Queue: u.Queue, Namespace: u.Namespace, Name: u.Name}
}

func summariesJSON(list []orchestration.TaskSummary) []summaryJSON {
	out := make([]summaryJSON, len(list))
	for i, s := range list {
		out[i] = summaryOf(s)
	}
	return out
}

func summaryOf(s orchestration.TaskSummary) summaryJSON {
	out := summaryJSON{
		TaskID: s.TaskID, Namespace: s.Namespace, Name: s.Name, Version: s.Version, Status: string(s.State), Tags: s.Tags,
		Priority: s.Priority, CreatedAt: momentOf(s.CreatedAt), EndedAt: momentOf(s.EndedAt), DueAt: momentOf(s.DueAt), Held: s.Held,
		Steps: s.Steps, Done: s.Done, Failed: s.Failed, WaitsFor: unservedAsJSON(s.WaitsFor),
	}
	if s.FailedStep != "" {
		out.FailedStep, out.ErrorClass = &s.FailedStep, &s.ErrorClass
	}
	return out
}

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// filterFlags are the flags that select tasks.
type filterFlags struct {
	namespace, name, version, errorClass string
	states, tags                         []string
	newer, older                         timeSpan
	limit                                int
	below                                int64
}

func (f *filterFlags) add(cmd *cobra.Command, states bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.namespace, "namespace", "", "only tasks of namespace `NAME`")
	flags.StringVar(&f.name, "name", "", "only tasks named `NAME`")
	flags.StringVar(&f.version, "version", "", "only tasks of `VERSION`")
	flags.StringVar(&f.errorClass, "error-class", "", "only tasks with a step that last failed with `CLASS`")
	flags.StringArrayVar(&f.tags, "tag", nil, "only tasks with `TAG`, may be repeated")
	flags.Var(&f.newer, "newer-than", "only tasks submitted within `TIME`, such as 24h or 7d")
	flags.Var(&f.older, "older-than", "only tasks submitted longer than `TIME` ago, such as 1h or 7d")
	flags.IntVar(&f.limit, "limit", 50, "at most `N`, up to 1000")
	if states {
		flags.StringArrayVar(&f.states, "state", nil, "only tasks in `STATE`, may be repeated")
		flags.Int64Var(&f.below, "below", 0, "continue a list: only tasks with numbers below `N`")
	}
}

// narrowingFlags are the names of the flags that narrow the selection.
var narrowingFlags = []string{"namespace", "name", "version", "error-class", "tag", "newer-than", "older-than"}

// narrows reports whether a flag narrows the selection.
func (f *filterFlags) narrows(cmd *cobra.Command) bool {
	for _, name := range narrowingFlags {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func (f *filterFlags) filter() (orchestration.Filter, error) {
	if f.limit < 1 || f.limit > 1000 {
		return orchestration.Filter{}, errors.WithHint(errors.Newf("--limit %d", f.limit), "Give a number from 1 to 1000.")
	}
	out := orchestration.Filter{
		Namespace: f.namespace, Name: f.name, Version: f.version, ErrorClass: f.errorClass, Tags: f.tags, Limit: f.limit, Below: f.below,
	}
	for _, s := range f.states {
		out.States = append(out.States, orchestration.TaskState(s))
	}
	if f.newer > 0 {
		out.CreatedAfter = time.Now().Add(-time.Duration(f.newer))
	}
	if f.older > 0 {
		out.CreatedBefore = time.Now().Add(-time.Duration(f.older))
	}
	return out, nil
}

func newTasksList() *cobra.Command {
	var filter filterFlags
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, the newest first",
		Example: `  tasker-rb tasks list --state error
  tasker-rb tasks list --name fulfill_order --newer-than 24h --output json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			f, err := filter.filter()
			if err != nil {
				return err
			}
			return withEngine(cmd, func(e *orchestration.Engine) error {
				list, err := e.Tasks(cmd.Context(), f)
				if err != nil {
					return err
				}
				if output == "json" {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(summariesJSON(list))
				}
				return printList(cmd, list, filter.limit)
			})
		},
	}
	filter.add(cmd, true)
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
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

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newTasksShow() *cobra.Command {
	var output string
	var history bool
	cmd := &cobra.Command{
		Use:   "show TASK",
		Short: "Show a task: its steps, attempts, errors and history",
		Example: `  tasker-rb tasks show 42
  tasker-rb tasks show 42 --output json`,
		Args: exactly("TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			id, err := taskID(args[0])
			if err != nil {
				return err
			}
			return withEngine(cmd, func(e *orchestration.Engine) error {
				t, err := e.Task(cmd.Context(), id)
				if err != nil {
					return err
				}
				if output == "json" {
					return (&jsonDisplay{out: cmd.OutOrStdout()}).result(t)
				}
				return printTask(cmd.OutOrStdout(), t, history)
			})
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text, or json as run prints it")
	cmd.Flags().BoolVar(&history, "history", true, "also print the transitions, oldest first")
	return cmd
}

func printTask(w io.Writer, t *orchestration.TaskDetail, history bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "task %d  %s/%s %s  %s\n", t.TaskID, t.Namespace, t.Name, t.Version, t.State)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-10s %s\n", name, strings.ReplaceAll(printable(value), "\n", "\n             "))
		}
	}
	line("submitted", t.CreatedAt.Local().Format("2006-01-02 15:04:05.000"))
	line("by", t.Initiator)
	line("from", t.SourceSystem)
	line("reason", t.Reason)
	if t.State == orchestration.TaskPending && t.RunAt.After(t.CreatedAt) {
		line("not before", t.RunAt.Local().Format(time.DateTime))
	}
	if t.Priority != 0 {
		line("priority", strconv.Itoa(int(t.Priority)))
	}
	line("tags", strings.Join(t.Tags, ", "))
	if !t.EndedAt.IsZero() {
		line("ended", fmt.Sprintf("%s, after %s", t.EndedAt.Local().Format("2006-01-02 15:04:05.000"), shortDuration(t.EndedAt.Sub(t.CreatedAt))))
	}
	if t.WaitsFor != nil {
		line("waits", t.WaitsFor.String())
	}
	b.WriteString("\nsteps\n")
	printSteps(&b, t)
	printAnnotations(&b, t)
	if history {
		printHistory(&b, t)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printAnnotations(b *strings.Builder, t *orchestration.TaskDetail) {
	if len(t.Annotations) == 0 {
		return
	}
	b.WriteString("\nannotations\n")
	for _, a := range t.Annotations {
		value := shorten(string(a.Value), mostInLine, "… (and %d more characters, which --output json has)")
		fmt.Fprintf(b, "  %s  %s\n", printable(shorten(a.Type, mostInLine, "…")), printable(value))
	}
}

// entry is a line of a task's history.
type entry struct {
	what string
	w    orchestration.Transition
}

// rank sorts the end of a task after the end of its last step.
func (e entry) rank() int {
	if e.what == "task" && orchestration.TaskState(e.w.To).Final() {
		return 1
	}
	return 0
}

func printHistory(b *strings.Builder, t *orchestration.TaskDetail) {
	var all []entry
	for _, w := range t.Transitions {
		all = append(all, entry{"task", w})
	}
	for i := range t.Steps {
		for _, w := range t.Steps[i].Transitions {
			all = append(all, entry{t.Steps[i].Name, w})
		}
	}
	// Transitions with the same time stay in the order of the steps.
	slices.SortStableFunc(all, func(a, b entry) int {
		return cmp.Or(a.w.At.Compare(b.w.At), cmp.Compare(a.rank(), b.rank()))
	})
	stamp := "15:04:05.000"
	if len(all) > 0 && all[0].w.At.Local().Format(time.DateOnly) != all[len(all)-1].w.At.Local().Format(time.DateOnly) {
		stamp = "2006-01-02 " + stamp
	}
	b.WriteString("\nhistory\n")
	for _, e := range all {
		attempt := ""
		if e.w.Attempt > 0 {
			attempt = fmt.Sprintf(" (attempt %d)", e.w.Attempt)
		}
		from := e.w.From
		if from == "" {
			from = "new"
		}
		by := ""
		if e.w.Actor != "" {
			by = " (" + printable(e.w.Actor) + ")"
		}
		fmt.Fprintf(b, "  %s  %s: %s -> %s%s  %s%s\n", e.w.At.Local().Format(stamp), e.what, from, e.w.To, attempt, printable(e.w.Reason), by)
	}
}

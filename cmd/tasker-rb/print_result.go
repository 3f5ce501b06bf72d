package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// printResult prints the results of each step, the errors of a failed task, what to do
// next, and a last line that sums up.
func printResult(w io.Writer, t *orchestration.TaskDetail, o resultOptions) error {
	var b strings.Builder
	failed := t.State != orchestration.TaskComplete
	state := green
	if failed {
		state = red
	}
	fmt.Fprintf(&b, "\n%s  %s\n", bold.Render(fmt.Sprintf("task %d  %s/%s %s", t.TaskID, t.Namespace, t.Name, t.Version)), state.Render(string(t.State)))
	for i := range t.Steps {
		s := &t.Steps[i]
		last := s.Last()
		switch {
		case s.State.Done():
			if o.shows(s.Name) {
				fmt.Fprintf(&b, "\n%s\n%s\n", bold.Render(s.Name), indent(s.Results()))
			}
		case last != nil && last.Err != nil:
			fmt.Fprintf(&b, "\n%s  %s after %s\n", bold.Render(s.Name), red.Render(string(s.State)), plural(s.Attempts, "attempt"))
			printFailure(&b, last.Err)
		case !o.quiet:
			fmt.Fprintf(&b, "\n%s  %s\n", bold.Render(s.Name), faint.Render(notRun(s)))
		}
	}
	if failed && o.kept {
		printNext(&b, t.TaskID)
	}
	fmt.Fprintf(&b, "\n%s\n", summary(t))
	_, err := io.WriteString(w, b.String())
	return err
}

// printNext prints what a person does after a task has failed.
func printNext(b *strings.Builder, task int64) {
	b.WriteString("\nnext\n")
	for _, c := range [][2]string{{"tasks show", "what has happened"}, {"run --task", "retry the failed steps here"}, {"tasks retry", "retry them in a worker"}} {
		fmt.Fprintf(b, "  %s%s\n", pad(fmt.Sprintf("tasker-rb %s %d", c[0], task), 32), faint.Render(c[1]))
	}
}

// summary is the last line: how many steps are done, in what time, after how many retries.
func summary(t *orchestration.TaskDetail) string {
	done, failed, retries := 0, 0, 0
	for i := range t.Steps {
		s := &t.Steps[i]
		switch {
		case s.State.Done():
			done++
		case s.State == orchestration.StepInError:
			failed++
		}
		retries += max(s.Attempts-1, 0)
	}
	text := fmt.Sprintf("%d of %s done", done, plural(len(t.Steps), "step"))
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if retries > 0 {
		text += ", " + pluralOf(retries, "retry", "retries")
	}
	if !t.EndedAt.IsZero() {
		text += ", in " + shortDuration(t.EndedAt.Sub(t.CreatedAt))
	}
	return text
}

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func notRun(s *orchestration.StepDetail) string {
	if s.State == orchestration.StepPending {
		return "not run: what it depends on did not complete"
	}
	return string(s.State)
}

func indent(results json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, results, "  ", "  "); err != nil {
		return "  " + string(results)
	}
	return "  " + b.String()
}

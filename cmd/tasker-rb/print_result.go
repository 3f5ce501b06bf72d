package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// printResult prints the results of each step, and the errors of a failed task.
func printResult(w io.Writer, t *orchestration.TaskDetail) error {
	var b strings.Builder
	state := green
	if t.State != orchestration.TaskComplete {
		state = red
	}
	fmt.Fprintf(&b, "\n%s  %s\n", bold.Render(fmt.Sprintf("task %d  %s/%s %s", t.TaskID, t.Namespace, t.Name, t.Version)), state.Render(string(t.State)))
	for i := range t.Steps {
		s := &t.Steps[i]
		last := s.Last()
		switch {
		case s.State.Done():
			fmt.Fprintf(&b, "\n%s\n%s\n", bold.Render(s.Name), indent(s.Results()))
		case last != nil && last.Err != nil:
			fmt.Fprintf(&b, "\n%s  %s after %s\n", bold.Render(s.Name), red.Render(string(s.State)), plural(s.Attempts, "attempt"))
			printFailure(&b, last.Err)
		default:
			fmt.Fprintf(&b, "\n%s  %s\n", bold.Render(s.Name), faint.Render(notRun(s)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
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

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

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
			fmt.Fprintf(&b, "\n%s  %s after %s%s\n", bold.Render(s.Name), red.Render(string(s.State)), attemptsOf(s), noRetry(s, last.Err))
			printFailure(&b, last.Err)
		case !o.quiet:
			fmt.Fprintf(&b, "\n%s  %s\n", bold.Render(s.Name), faint.Render(notRun(s)))
		}
	}
	if failed && o.kept {
		printNext(&b, nextCommands(t, o.flags))
	}
	fmt.Fprintf(&b, "\n%s\n", summary(t, o.time.of(t)))
	_, err := io.WriteString(w, b.String())
	return err
}

// noRetry says why a step ended before it had all its attempts.
func noRetry(s *orchestration.StepDetail, e *orchestration.StepError) string {
	if s.State != orchestration.StepInError || !e.Permanent || s.Attempts-s.Losses >= s.RetryLimit {
		return ""
	}
	return "; such an error is not retried"
}

// summary is the last line: how many steps are done, in what time, after how many retries.
func summary(t *orchestration.TaskDetail, took time.Duration) string {
	done, failed, retries, losses := 0, 0, 0, 0
	for i := range t.Steps {
		s := &t.Steps[i]
		switch {
		case s.State.Done():
			done++
		case s.State == orchestration.StepInError:
			failed++
		}
		retries += max(s.Attempts-s.Losses-1, 0)
		losses += s.Losses
	}
	text := fmt.Sprintf("%d of %s done", done, plural(len(t.Steps), "step"))
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if retries > 0 {
		text += ", " + pluralOf(retries, "retry", "retries")
	}
	if losses > 0 {
		text += ", " + plural(losses, "attempt") + " lost"
	}
	if !t.EndedAt.IsZero() {
		text += ", in " + shortDuration(took)
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

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// plainDisplay prints a line for each event, for pipes and log files.
type plainDisplay struct {
	out   io.Writer
	log   *lineLog
	names int
}

func (d *plainDisplay) begin()                   {}
func (d *plainDisplay) end() error               { return nil }
func (d *plainDisplay) logHandler() slog.Handler { return d.log }

func (d *plainDisplay) event(e orchestration.Event) {
	if line := describe(e, d.names); line != "" {
		d.log.print(fmt.Sprintf("%s %s", e.At.Local().Format("15:04:05.000"), line))
	}
}

// describe says what happened in a line.
func describe(e orchestration.Event, names int) string {
	step := pad(e.Step, names)
	switch e.Kind {
	case orchestration.EventTaskStarted:
		return fmt.Sprintf("task %d started", e.TaskID)
	case orchestration.EventStepStarted:
		return fmt.Sprintf("%s  started%s", step, attemptOf(e))
	case orchestration.EventStepCompleted:
		return fmt.Sprintf("%s  complete in %s", step, shortDuration(e.Duration))
	case orchestration.EventStepRetrying:
		next := "now"
		if wait := e.NextAttempt.Sub(e.At); wait > 0 {
			next = "in " + shortDuration(wait)
		}
		return fmt.Sprintf("%s  failed%s: %s; next attempt %s", step, attemptOf(e), oneLine(e.Err), next)
	case orchestration.EventStepFailed:
		return fmt.Sprintf("%s  failed for good%s: %s", step, attemptOf(e), oneLine(e.Err))
	case orchestration.EventStepReleased:
		return fmt.Sprintf("%s  interrupted", step)
	case orchestration.EventStepCancelled:
		return fmt.Sprintf("%s  cancelled", step)
	case orchestration.EventTaskEnded:
		return fmt.Sprintf("task %d %s", e.TaskID, e.TaskState)
	default:
		return ""
	}
}

func attemptOf(e orchestration.Event) string {
	if e.Attempt == 1 && e.Kind == orchestration.EventStepStarted {
		return ""
	}
	return fmt.Sprintf(" (attempt %d of %d)", e.Attempt, max(e.RetryLimit, 1))
}

func oneLine(e *orchestration.StepError) string {
	first, _, more := strings.Cut(printable(e.Error()), "\n")
	short := shorten(first, mostInLine, "")
	if more || short != first {
		short += " …"
	}
	return short
}

func shortDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

func (d *plainDisplay) result(t *orchestration.TaskDetail) error { return printResult(d.out, t) }

// printResult prints what each step ended with, and why the task failed.
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

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func indent(results json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, results, "  ", "  "); err != nil {
		return "  " + string(results)
	}
	return "  " + b.String()
}

// printFailure prints the user's lines of the backtrace first: the library's
// are of no use to whoever wrote the handler.
func printFailure(b *strings.Builder, e *orchestration.StepError) {
	for at := e; at != nil; at = at.Cause {
		if at != e {
			b.WriteString("  caused by\n")
		}
		text := shorten(at.Error(), mostOfText, "… (and %d more characters, which --output json has)")
		fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(printable(text), "\n", "\n  "))
		if at.ErrorCode != "" {
			fmt.Fprintf(b, "  error code %s\n", printable(at.ErrorCode))
		}
		shown := 0
		for _, line := range at.Backtrace {
			if !strings.Contains(line, "/tasker-rb/ruby-") && shown < 8 {
				fmt.Fprintf(b, "    from %s\n", printable(line))
				shown++
			}
		}
	}
}

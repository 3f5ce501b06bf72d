package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// plainDisplay prints a line for each event. It serves pipes and log files.
type plainDisplay struct {
	out     io.Writer
	log     *stepLog
	names   int
	quiet   bool
	results resultOptions
}

func (d *plainDisplay) resume(*orchestration.TaskDetail) {}
func (d *plainDisplay) begin()                           {}
func (d *plainDisplay) end() error                       { return nil }
func (d *plainDisplay) logHandler() slog.Handler         { return d.log }

func (d *plainDisplay) event(e orchestration.Event) {
	if line := eventLine(e, d.names); line != "" && !d.quiet {
		d.log.print(fmt.Sprintf("%s %s", e.At.Local().Format("15:04:05.000"), line))
	}
}

// eventLine describes an event in one line.
func eventLine(e orchestration.Event, names int) string {
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
		return fmt.Sprintf("%s  ended in error%s: %s", step, attemptOf(e), oneLine(e.Err))
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

// attemptOf says which attempt an event is of. It counts as the limit does, without the
// attempts that were lost. After a retry by a person it also says the number that tasks show
// has for the attempt.
func attemptOf(e orchestration.Event) string {
	number, limit := e.Attempt-e.Losses, max(e.RetryLimit, 1)
	text := fmt.Sprintf("attempt %d of %d", number, limit)
	switch {
	case e.Lost:
		return fmt.Sprintf(" (%s lost)", plural(e.Losses, "attempt"))
	case e.Earlier > 0:
		text = fmt.Sprintf("attempt %d, %d of %d since the retry", e.Earlier+e.Attempt, number, limit)
	case e.Losses == 0 && number == 1 && e.Kind == orchestration.EventStepStarted:
		return ""
	}
	if e.Losses > 0 {
		text += fmt.Sprintf(", after %d lost", e.Losses)
	}
	return " (" + text + ")"
}

// attemptsOf says how many attempts a step has had, in the same way.
func attemptsOf(s *orchestration.StepDetail) string {
	text := plural(s.Attempts-s.Losses, "attempt")
	if s.Losses > 0 {
		text += fmt.Sprintf(", %d lost", s.Losses)
	}
	if s.Earlier > 0 {
		text += fmt.Sprintf(" since the retry, %d in all", s.Earlier+s.Attempts)
	}
	return text
}

func oneLine(e *orchestration.StepError) string {
	first, _, more := strings.Cut(printable(e.Error()), "\n")
	short := shorten(first, mostInLine, "")
	if more || short != first {
		short += ellipsis(" …")
	}
	return short
}

func (d *plainDisplay) result(t *orchestration.TaskDetail) error {
	return printResult(d.out, t, d.results)
}

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// printSteps draws the steps of a task and their dependencies. Below it prints
// the errors of the failed steps.
func printSteps(b *strings.Builder, t *orchestration.TaskDetail) {
	width := 0
	steps := map[string]*orchestration.StepDetail{}
	for i := range t.Steps {
		s := &t.Steps[i]
		steps[s.Name] = s
		width = max(width, lipgloss.Width(s.Name))
	}
	if t.Template == nil {
		for i := range t.Steps {
			b.WriteString("  " + stepLine(&t.Steps[i], width) + "\n")
		}
	} else {
		signs := marksFor(utf8Terminal())
		drawn := t.Template.Draw(templates.Drawing{
			ASCII: !utf8Terminal(),
			Mark:  func(s *templates.Step) string { return signs.of(steps[s.Name].State) },
			Label: func(s *templates.Step) string { return stepLine(steps[s.Name], width) },
		})
		for line := range strings.Lines(drawn) {
			b.WriteString("  " + line)
		}
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		if last := s.Last(); last != nil && last.Err != nil && !s.State.Done() {
			fmt.Fprintf(b, "\n%s  attempt %s\n", s.Name, numberInAll(s, last))
			printFailure(b, last.Err)
		}
	}
}

// numberInAll is the number of an attempt. After a retry by a person it says how the limit counts it.
func numberInAll(s *orchestration.StepDetail, a *orchestration.Attempt) string {
	switch {
	case s.Earlier == 0:
		return strconv.Itoa(a.Number)
	case a.Number <= s.Earlier:
		return fmt.Sprintf("%d (before the retry)", a.Number)
	case s.Losses > 0: // which of them were lost is not known
		return fmt.Sprintf("%d (since the retry, %d lost)", a.Number, s.Losses)
	}
	return fmt.Sprintf("%d (%d of %d since the retry)", a.Number, a.Number-s.Earlier, max(s.RetryLimit, 1))
}

// stepLine describes the state of a step in one line.
func stepLine(s *orchestration.StepDetail, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-17s %s", pad(s.Name, width), s.State, attemptsOf(s))
	if last := s.Last(); last != nil && !last.StartedAt.IsZero() {
		fmt.Fprintf(&b, "  %s", shortDuration(last.EndedAt.Sub(last.StartedAt)))
	}
	if !s.NextAttempt.IsZero() {
		fmt.Fprintf(&b, "  next at %s", s.NextAttempt.Local().Format("15:04:05.000"))
	}
	if s.WaitsForKey != "" {
		fmt.Fprintf(&b, "  waits for a permit of %s", printable(s.WaitsForKey))
	}
	const most = 10
	if n := len(s.Parents); n > most {
		fmt.Fprintf(&b, "  <- %s and %d more", strings.Join(s.Parents[:most], ", "), n-most)
	} else if n > 1 {
		fmt.Fprintf(&b, "  <- %s", strings.Join(s.Parents, ", "))
	}
	return b.String()
}

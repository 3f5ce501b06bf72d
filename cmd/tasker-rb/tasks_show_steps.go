package main

import (
	"fmt"
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
			fmt.Fprintf(b, "\n%s  attempt %d\n", s.Name, last.Number)
			printFailure(b, last.Err)
		}
	}
}

// stepLine describes the state of a step in one line.
func stepLine(s *orchestration.StepDetail, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-17s %s", pad(s.Name, width), s.State, plural(s.Attempts, "attempt"))
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

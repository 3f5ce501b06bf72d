package main

import (
	"os"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

var (
	faint  = lipgloss.NewStyle().Faint(true)
	green  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	red    = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	yellow = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	bold   = lipgloss.NewStyle().Bold(true)
)

// marks are what stands before a step's name.
type marks struct {
	running                             []string
	pending, complete, retrying, failed string
	busy, done                          string // running and complete, in a picture that stands still
	more                                string // where a line is cut
}

// cut makes a line fit, and shows that it did.
func (m marks) cut(line string, columns int) string {
	if lipgloss.Width(line) <= columns {
		return line
	}
	return lipgloss.NewStyle().MaxWidth(max(columns-lipgloss.Width(m.more), 1)).Render(line) + m.more
}

func marksFor(utf8 bool) marks {
	if !utf8 {
		return marks{running: []string{"|", "/", "-", `\`}, pending: ".", complete: "+", retrying: "~", failed: "x", busy: ">", done: "*", more: ".."}
	}
	return marks{running: strings.Split("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", ""), pending: "·", complete: "✓", retrying: "↻", failed: "✗", busy: "▶", done: "✓", more: "…"}
}

// of is the sign for a step in that state.
func (m marks) of(state orchestration.StepState) string {
	switch state {
	case orchestration.StepComplete, orchestration.StepResolvedManually:
		return m.done // not complete, which in ASCII is what lines cross with
	case orchestration.StepInError, orchestration.StepCancelled:
		return m.failed
	case orchestration.StepWaitingForRetry:
		return m.retrying
	case orchestration.StepInProgress:
		return m.busy
	default:
		return m.pending
	}
}

func utf8Terminal() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}

// dumbTerminal: it cannot move its cursor.
func dumbTerminal() bool { return os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" }

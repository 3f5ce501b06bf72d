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

// marks are the signs before a step's name.
type marks struct {
	running                             []string
	pending, complete, retrying, failed string
	busy, done                          string // running and complete, in a still picture
	more                                string // at the end of a line that was cut
}

// cut shortens a line to the columns, and marks that it was cut.
func (m marks) cut(line string, columns int) string {
	if lipgloss.Width(line) <= columns {
		return line
	}
	return lipgloss.NewStyle().MaxWidth(max(columns-lipgloss.Width(m.more), 1)).Render(line) + m.more
}

// shrink shortens a name to the columns. It keeps the beginning and the end, where the names
// of similar steps differ.
func (m marks) shrink(name string, columns int) string {
	if lipgloss.Width(name) <= columns {
		return name
	}
	runes := []rune(name)
	room := columns - lipgloss.Width(m.more)
	head, tail := "", ""
	for i, j := 0, len(runes)-1; i < j; {
		if lipgloss.Width(head)+lipgloss.Width(tail)+lipgloss.Width(string(runes[i])) > room {
			break
		}
		head += string(runes[i])
		i++
		if lipgloss.Width(head)+lipgloss.Width(tail)+lipgloss.Width(string(runes[j])) > room {
			break
		}
		tail = string(runes[j]) + tail
		j--
	}
	return head + m.more + tail
}

func marksFor(utf8 bool) marks {
	if !utf8 {
		return marks{running: []string{"|", "/", "-", `\`}, pending: ".", complete: "+", retrying: "~", failed: "x", busy: ">", done: "*", more: ".."}
	}
	return marks{running: strings.Split("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", ""), pending: "·", complete: "✓", retrying: "↻", failed: "✗", busy: "▶", done: "✓", more: "…"}
}

// of returns the sign of a step in the state.
func (m marks) of(state orchestration.StepState) string {
	switch state {
	case orchestration.StepComplete, orchestration.StepResolvedManually:
		return m.done // not m.complete: in ASCII that is "+", the sign of a crossing
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

// dumbTerminal reports whether the terminal cannot move its cursor.
func dumbTerminal() bool { return os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" }

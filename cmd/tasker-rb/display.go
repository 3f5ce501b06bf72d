package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/charmbracelet/lipgloss"
	"github.com/mattn/go-isatty"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// display shows the progress of a task and its result.
type display interface {
	begin()
	event(orchestration.Event)
	end() error // after the last event
	result(*orchestration.TaskDetail) error
	logHandler() slog.Handler // receives the lines that handlers print and log
}

// newDisplay returns the display for --output json, for a terminal, or for a pipe
// or file. With lines, a terminal gets lines too.
func newDisplay(output string, lines bool, t *templates.Template, out, errOut io.Writer) display {
	file, isFile := out.(*os.File)
	switch {
	case output == "json":
		return &jsonDisplay{out: out, log: newStepLog(errOut)}
	case isFile && !lines && isatty.IsTerminal(file.Fd()) && !dumbTerminal():
		return newLiveDisplay(t, file)
	default:
		return &plainDisplay{out: out, log: newStepLog(out), names: nameWidth(t)}
	}
}

func nameWidth(t *templates.Template) int {
	width := 0
	for _, s := range t.Steps {
		width = max(width, lipgloss.Width(s.Name))
	}
	return width
}

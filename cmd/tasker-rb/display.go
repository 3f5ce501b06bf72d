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
	resume(*orchestration.TaskDetail) // before begin, for a task that has begun before
	begin()
	event(orchestration.Event)
	end() error // after the last event
	result(*orchestration.TaskDetail) error
	logHandler() slog.Handler // receives the lines that handlers print and log
}

type displayOptions struct {
	output  string // text or json
	lines   bool   // a terminal gets lines too
	quiet   bool   // only the result, and what handlers print
	results resultOptions
}

// newDisplay returns the display for --output json, for a terminal, or for a pipe
// or file.
func newDisplay(o displayOptions, t *templates.Template, out, errOut io.Writer) display {
	file, isFile := out.(*os.File)
	switch {
	case o.output == "json":
		return &jsonDisplay{out: out, log: newStepLog(errOut)}
	case isFile && !o.lines && !o.quiet && isatty.IsTerminal(file.Fd()) && !dumbTerminal():
		d := newLiveDisplay(t, file)
		d.results = o.results
		return d
	default:
		return &plainDisplay{out: out, log: newStepLog(out), names: nameWidth(t), quiet: o.quiet, results: o.results}
	}
}

func nameWidth(t *templates.Template) int {
	width := 0
	for _, s := range t.Steps {
		width = max(width, lipgloss.Width(s.Name))
	}
	return width
}

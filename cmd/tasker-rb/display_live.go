package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/spinner"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// liveDisplay keeps a line for each step on the terminal, with its time and
// its retries; what handlers print scrolls above.
type liveDisplay struct {
	program *tea.Program
	out     *os.File
	log     *lineLog
	ended   chan error
}

func newLiveDisplay(t *templates.Template, out *os.File) *liveDisplay {
	view := liveView{width: nameWidth(t), spinner: spinner.New(spinner.WithSpinner(spinner.MiniDot)), title: t.Namespace + "/" + t.Name + " " + t.Version}
	for _, s := range t.Steps {
		view.steps = append(view.steps, liveStep{name: s.Name})
	}
	d := &liveDisplay{out: out, ended: make(chan error, 1)}
	d.program = tea.NewProgram(view, tea.WithOutput(out), tea.WithInput(nil), tea.WithoutSignalHandler())
	d.log = newLineLog(out)
	return d
}

func (d *liveDisplay) begin() {
	d.log.mu.Lock()
	d.log.write = func(line string) { d.program.Println(line) }
	d.log.mu.Unlock()
	go func() {
		_, err := d.program.Run()
		d.ended <- err
	}()
}

func (d *liveDisplay) event(e orchestration.Event) { d.program.Send(e) }

func (d *liveDisplay) end() error {
	d.program.Send(tea.Quit())
	err := <-d.ended
	d.log.mu.Lock()
	d.log.write = func(line string) { fmt.Fprintln(d.out, line) }
	d.log.mu.Unlock()
	return errors.Wrap(err, "the terminal")
}

func (d *liveDisplay) result(t *orchestration.TaskDetail) error { return printResult(d.out, t) }

func (d *liveDisplay) logHandler() slog.Handler { return d.log }

type liveStep struct {
	name    string
	last    orchestration.Event // zero until it has begun
	started time.Time
}

// liveView is bubbletea's model: the whole state of the picture.
type liveView struct {
	title   string
	steps   []liveStep
	width   int
	columns int // of the terminal; 0 until known
	spinner spinner.Model
}

var (
	faint  = lipgloss.NewStyle().Faint(true)
	green  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	red    = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	yellow = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	bold   = lipgloss.NewStyle().Bold(true)
)

func (v liveView) Init() tea.Cmd { return v.spinner.Tick }

func (v liveView) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case orchestration.Event:
		steps := append([]liveStep(nil), v.steps...)
		for i := range steps {
			if steps[i].name != m.Step {
				continue
			}
			steps[i].last = m
			if m.Kind == orchestration.EventStepStarted {
				steps[i].started = m.At
			}
		}
		v.steps = steps
	case tea.WindowSizeMsg:
		v.columns = m.Width
	case spinner.TickMsg:
		var next tea.Cmd
		v.spinner, next = v.spinner.Update(m)
		return v, next
	case tea.QuitMsg:
		return v, tea.Quit
	}
	return v, nil
}

func (v liveView) View() string {
	var b strings.Builder
	b.WriteString(bold.Render(v.title) + "\n")
	for _, s := range v.steps {
		line := v.line(s)
		if v.columns > 0 {
			line = lipgloss.NewStyle().MaxWidth(v.columns).Render(line)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func (v liveView) line(s liveStep) string {
	name := fmt.Sprintf("%-*s", v.width, s.name)
	e := s.last
	switch e.Kind {
	case orchestration.EventStepStarted:
		return fmt.Sprintf("  %s %s  %s%s", v.spinner.View(), name, shortDuration(time.Since(s.started).Truncate(100*time.Millisecond)), faint.Render(attemptOf(e)))
	case orchestration.EventStepCompleted:
		tries := ""
		if e.Attempt > 1 {
			tries = faint.Render(attemptOf(e))
		}
		return fmt.Sprintf("  %s %s  %s%s", green.Render("✓"), name, shortDuration(e.Duration), tries)
	case orchestration.EventStepRetrying:
		wait := max(time.Until(e.NextAttempt), 0)
		return fmt.Sprintf("  %s %s  %s%s", yellow.Render("↻"), name,
			yellow.Render(fmt.Sprintf("again in %.1fs", wait.Seconds())), faint.Render(attemptOf(e)+" "+oneLine(e.Err)))
	case orchestration.EventStepFailed:
		return fmt.Sprintf("  %s %s  %s%s", red.Render("✗"), name, red.Render(oneLine(e.Err)), faint.Render(attemptOf(e)))
	default:
		return faint.Render("  · " + name)
	}
}

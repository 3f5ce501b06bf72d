package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// liveDisplay keeps a line for each step on the terminal, with its time and its
// retries. The output of handlers scrolls above these lines.
type liveDisplay struct {
	out   *os.File
	log   *stepLog
	marks marks
	title string
	names int

	mu      sync.Mutex // guards the fields below
	steps   []liveStep
	index   map[string]int
	pending []string // lines to print above the picture
	block   terminalBlock
	frame   int
	err     error

	quit, done chan struct{}
}

type liveStep struct {
	name  string
	last  orchestration.Event // zero until the step has begun
	since time.Time           // start of the attempt, by this machine's clock
	until time.Time           // start of the next attempt, by this machine's clock
}

// repaint is the time between two pictures. An event is shown in the next one.
const repaint = 80 * time.Millisecond

func newLiveDisplay(t *templates.Template, out *os.File) *liveDisplay {
	d := &liveDisplay{
		out: out, marks: marksFor(utf8Terminal()), title: t.Namespace + "/" + t.Name + " " + t.Version,
		names: nameWidth(t), index: map[string]int{}, quit: make(chan struct{}), done: make(chan struct{}),
	}
	for i, s := range t.Steps {
		d.steps = append(d.steps, liveStep{name: s.Name})
		d.index[s.Name] = i
	}
	d.log = newStepLog(out)
	return d
}

func (d *liveDisplay) begin() {
	d.block = terminalBlock{out: d.out}
	d.log.redirect(func(line string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.pending = append(d.pending, line)
	})
	go func() {
		defer close(d.done)
		tick := time.NewTicker(repaint)
		defer tick.Stop()
		for {
			d.paint(false)
			select {
			case <-tick.C:
			case <-d.quit:
				d.paint(true)
				return
			}
		}
	}()
}

func (d *liveDisplay) event(e orchestration.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, ok := d.index[e.Step]
	if !ok {
		return
	}
	s := &d.steps[i]
	s.last = e
	// The event's times are from the database's clock, which may differ.
	switch e.Kind {
	case orchestration.EventStepStarted:
		s.since = time.Now()
	case orchestration.EventStepRetrying:
		s.until = time.Now().Add(e.NextAttempt.Sub(e.At))
	}
}

// end leaves the last picture on the terminal.
func (d *liveDisplay) end() error {
	close(d.quit)
	<-d.done
	d.log.redirect(func(line string) { fmt.Fprintln(d.out, line) })
	return errors.Wrap(d.err, "writing to the terminal")
}

func (d *liveDisplay) result(t *orchestration.TaskDetail) error { return printResult(d.out, t) }

func (d *liveDisplay) logHandler() slog.Handler { return d.log }

func (d *liveDisplay) paint(last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frame++
	columns, rows := d.block.size()
	shown := d.steps
	if !last && len(shown) > rows-3 {
		shown = busiest(shown, rows-3)
	}
	lines := []string{bold.Render(d.title)}
	for _, s := range shown {
		lines = append(lines, d.line(s))
	}
	if hidden := len(d.steps) - len(shown); hidden > 0 {
		lines = append(lines, faint.Render(fmt.Sprintf("  and %s", plural(hidden, "other step"))))
	}
	for i, line := range lines {
		lines[i] = d.marks.cut(line, columns)
	}
	err := d.block.draw(d.pending, lines, last)
	d.pending = nil
	if d.err == nil {
		d.err = err
	}
}

// busiest chooses the steps to show when there is no room for all. First come the
// steps that run, wait or failed, then the ones not yet begun, then the done ones.
func busiest(steps []liveStep, room int) []liveStep {
	ranks := make([][]liveStep, 3)
	for _, s := range steps {
		rank := 0
		switch s.last.Kind {
		case "":
			rank = 1
		case orchestration.EventStepCompleted:
			rank = 2
		}
		ranks[rank] = append(ranks[rank], s)
	}
	var chosen []liveStep
	for _, r := range ranks {
		chosen = append(chosen, r[:min(len(r), max(room, 0)-len(chosen))]...)
	}
	return chosen
}

func (d *liveDisplay) line(s liveStep) string {
	name := pad(s.name, d.names)
	e := s.last
	switch e.Kind {
	case orchestration.EventStepStarted:
		took := time.Since(s.since).Truncate(100 * time.Millisecond)
		return fmt.Sprintf("  %s %s  %.1fs%s", d.marks.running[d.frame%len(d.marks.running)], name, took.Seconds(), faint.Render(attemptOf(e)))
	case orchestration.EventStepCompleted:
		tries := ""
		if e.Attempt > 1 {
			tries = faint.Render(attemptOf(e))
		}
		return fmt.Sprintf("  %s %s  %s%s", green.Render(d.marks.complete), name, shortDuration(e.Duration), tries)
	case orchestration.EventStepRetrying:
		wait := max(time.Until(s.until), 0)
		return fmt.Sprintf("  %s %s  %s%s", yellow.Render(d.marks.retrying), name,
			yellow.Render(fmt.Sprintf("again in %.1fs", wait.Seconds())), faint.Render(attemptOf(e)+" "+oneLine(e.Err)))
	case orchestration.EventStepFailed:
		return fmt.Sprintf("  %s %s %s %s", red.Render(d.marks.failed), name, faint.Render(attemptOf(e)), red.Render(oneLine(e.Err)))
	case orchestration.EventStepReleased:
		return fmt.Sprintf("  %s %s  %s", yellow.Render(d.marks.pending), name, yellow.Render("interrupted"))
	case orchestration.EventStepCancelled:
		return fmt.Sprintf("  %s %s  %s", yellow.Render(d.marks.failed), name, yellow.Render("cancelled"))
	default:
		return faint.Render("  " + d.marks.pending + " " + strings.TrimRight(name, " "))
	}
}

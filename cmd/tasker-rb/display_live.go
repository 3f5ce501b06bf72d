package main

import (
	"fmt"
	"log/slog"
	"math"
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
	out     *os.File
	log     *stepLog
	marks   marks
	title   string
	names   int
	results resultOptions

	mu      sync.Mutex // guards the fields below
	steps   []liveStep
	index   map[string]int
	begun   time.Time
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

// resume shows the steps that are done.
func (d *liveDisplay) resume(t *orchestration.TaskDetail) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range t.Steps {
		s := &t.Steps[i]
		if at, known := d.index[s.Name]; known && s.State.Done() {
			e := orchestration.Event{Kind: orchestration.EventStepCompleted, Step: s.Name, Attempt: s.Attempts, Earlier: s.Earlier, Losses: s.Losses, RetryLimit: s.RetryLimit}
			if last := s.Last(); last != nil && !last.StartedAt.IsZero() {
				e.Duration = last.EndedAt.Sub(last.StartedAt)
			}
			d.steps[at].last = e
		}
	}
}

func (d *liveDisplay) begin() {
	d.block = terminalBlock{out: d.out}
	d.begun = time.Now()
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

func (d *liveDisplay) result(t *orchestration.TaskDetail) error {
	return printResult(d.out, t, d.results)
}

func (d *liveDisplay) logHandler() slog.Handler { return d.log }

func (d *liveDisplay) paint(last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frame++
	columns, rows := d.block.size()
	room := rows - 3 // for the title, what is left out, and the cursor
	if last {
		room = math.MaxInt
	}
	names := min(d.names, max(columns-besideName, leastName))
	shown, hidden := d.choose(room)
	lines := []string{d.heading()}
	for _, s := range shown {
		lines = append(lines, d.lines(s, names)...)
	}
	if len(hidden) > 0 {
		lines = append(lines, faint.Render("  and "+d.others(hidden)))
	}
	for i, line := range lines {
		lines[i] = d.marks.cut(line, columns)
	}
	err := d.block.draw(d.pending, lines)
	d.pending = nil
	if d.err == nil {
		d.err = err
	}
}

// A name is made shorter before its time and its attempts are. These are the columns that
// the time and the attempts take, and what a name keeps in any case.
const (
	besideName = 38
	leastName  = 12
)

// The ranks of steps, by how much there is to see: those that run, wait or failed, those
// that have not begun, those that are done.
const (
	rankBusy = iota
	rankPending
	rankDone
)

func (s liveStep) rank() int {
	switch s.last.Kind {
	case "":
		return rankPending
	case orchestration.EventStepCompleted:
		return rankDone
	default:
		return rankBusy
	}
}

// height is how many lines a step takes.
func (s liveStep) height() int {
	if s.last.Err != nil && s.rank() == rankBusy {
		return 2
	}
	return 1
}

// choose returns the steps for which there is room, in the order of the template if it is
// enough for all, and the steps that are left out.
func (d *liveDisplay) choose(room int) (shown, hidden []liveStep) {
	height := 0
	for _, s := range d.steps {
		height += s.height()
	}
	if height <= room {
		return d.steps, nil
	}
	for rank := rankBusy; rank <= rankDone; rank++ {
		for _, s := range d.steps {
			switch {
			case s.rank() != rank:
			case s.height() <= room:
				room -= s.height()
				shown = append(shown, s)
			default:
				hidden = append(hidden, s)
			}
		}
	}
	return shown, hidden
}

// doing says in a word or two what the step does.
func (s liveStep) doing() string {
	switch s.last.Kind {
	case orchestration.EventStepStarted:
		return "running"
	case orchestration.EventStepRetrying:
		return "retrying"
	case orchestration.EventStepFailed:
		return "failed"
	case orchestration.EventStepCancelled:
		return "cancelled"
	case orchestration.EventStepReleased:
		return "interrupted"
	case orchestration.EventStepCompleted:
		return "done"
	default:
		return "not begun"
	}
}

// counted counts the steps that do each of these, as in "1 retrying".
func counted(steps []liveStep, what ...string) []string {
	counts := map[string]int{}
	for _, s := range steps {
		counts[s.doing()]++
	}
	var each []string
	for _, w := range what {
		if counts[w] > 0 {
			each = append(each, fmt.Sprintf("%d %s", counts[w], w))
		}
	}
	return each
}

// heading is the title with how far the task is.
func (d *liveDisplay) heading() string {
	done := 0
	for _, s := range d.steps {
		if s.rank() == rankDone {
			done++
		}
	}
	each := append([]string{fmt.Sprintf("%d/%d done", done, len(d.steps))}, counted(d.steps, "retrying", "failed")...)
	return bold.Render(d.title) + "  " + strings.Join(each, ", ") + faint.Render(fmt.Sprintf(", %.1fs", time.Since(d.begun).Truncate(100*time.Millisecond).Seconds()))
}

// others counts the steps for which there is no room.
func (d *liveDisplay) others(steps []liveStep) string {
	each := counted(steps, "running", "retrying", "failed", "cancelled", "interrupted", "not begun", "done")
	return fmt.Sprintf("%d more: %s", len(steps), strings.Join(each, ", "))
}

// lines describes a step: its state, and below it its last error.
func (d *liveDisplay) lines(s liveStep, names int) []string {
	line := d.line(s, names)
	if s.height() == 1 {
		return []string{line}
	}
	colour := faint
	if s.last.Kind == orchestration.EventStepFailed {
		colour = red
	}
	return []string{line, colour.Render("      " + oneLine(s.last.Err))}
}

func (d *liveDisplay) line(s liveStep, names int) string {
	name := pad(d.marks.shrink(s.name, names), names)
	e := s.last
	switch e.Kind {
	case orchestration.EventStepStarted:
		took := time.Since(s.since).Truncate(100 * time.Millisecond)
		return fmt.Sprintf("  %s %s  %.1fs%s", d.marks.running[d.frame%len(d.marks.running)], name, took.Seconds(), faint.Render(attemptOf(e)))
	case orchestration.EventStepCompleted:
		tries := ""
		if e.Attempt > 1 || e.Earlier > 0 {
			tries = faint.Render(attemptOf(e))
		}
		return fmt.Sprintf("  %s %s  %s%s", green.Render(d.marks.complete), name, shortDuration(e.Duration), tries)
	case orchestration.EventStepRetrying:
		wait := max(time.Until(s.until), 0)
		return fmt.Sprintf("  %s %s  %s%s", yellow.Render(d.marks.retrying), name,
			yellow.Render(fmt.Sprintf("again in %.1fs", wait.Seconds())), faint.Render(attemptOf(e)))
	case orchestration.EventStepFailed:
		return fmt.Sprintf("  %s %s %s", red.Render(d.marks.failed), name, faint.Render(attemptOf(e)))
	case orchestration.EventStepReleased:
		return fmt.Sprintf("  %s %s  %s", yellow.Render(d.marks.pending), name, yellow.Render("interrupted"))
	case orchestration.EventStepCancelled:
		return fmt.Sprintf("  %s %s  %s", yellow.Render(d.marks.failed), name, yellow.Render("cancelled"))
	default:
		return faint.Render("  " + d.marks.pending + " " + strings.TrimRight(name, " "))
	}
}

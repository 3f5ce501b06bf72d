package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/report"
	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// soakDisplay shows how far a soak run is: on a terminal a bar and the latest figures, and
// elsewhere a line now and then.
type soakDisplay struct {
	out      io.Writer
	terminal *os.File // nil if there is none that can move its cursor
	block    terminalBlock
	marks    marks

	mu     sync.Mutex
	drawn  time.Time
	phase  string
	judged bool // there were samples enough to say how much grows
}

// plainInterval is the time between two lines without a terminal.
const plainInterval = 10 * time.Second

func newSoakDisplay(out io.Writer) *soakDisplay {
	d := &soakDisplay{out: out, marks: marksFor(utf8Terminal())}
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) && !dumbTerminal() {
		d.terminal, d.block = f, terminalBlock{out: f}
	}
	return d
}

func (d *soakDisplay) show(p soak.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := plainInterval
	if d.terminal != nil {
		wait = repaint
	}
	news := p.Phase != d.phase || d.terminal == nil && d.judged != (p.Growth != nil)
	if time.Since(d.drawn) < wait && !news {
		return
	}
	d.drawn, d.phase, d.judged = time.Now(), p.Phase, p.Growth != nil
	if d.terminal == nil {
		fmt.Fprintln(d.out, strings.TrimSpace(d.headline(p)))
		return
	}
	columns, _ := d.block.size()
	lines := []string{d.headline(p), d.bar(p, max(min(columns-2, 60), 0))}
	lines = append(lines, d.figures(p)...)
	for i, line := range lines {
		lines[i] = d.marks.cut(line, columns-1)
	}
	_ = d.block.draw(nil, lines) // a display that fails must not end the run
}

// end removes the display.
func (d *soakDisplay) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.terminal != nil {
		_ = d.block.draw(nil, nil)
	}
}

func (d *soakDisplay) headline(p soak.Progress) string {
	line := fmt.Sprintf("%s: %s tasks", p.Phase, soak.Commas(p.Tasks))
	if p.Of > 0 {
		line += " of " + soak.Commas(p.Of)
	}
	if p.Steps > 0 {
		line += fmt.Sprintf(", %s steps", soak.Commas(p.Steps))
	}
	line += ", " + p.Took.Round(time.Second).String()
	if p.Limit > 0 {
		line += " of " + p.Limit.String()
	}
	if p.Samples > 0 {
		line += ", " + plural(p.Samples, "sample")
	}
	return line
}

// bar shows how much is done.
func (d *soakDisplay) bar(p soak.Progress, width int) string {
	part := 0.0
	switch {
	case p.Of > 0:
		part = float64(p.Tasks) / float64(p.Of)
	case p.Limit > 0:
		part = p.Took.Seconds() / p.Limit.Seconds()
	}
	full, empty := "█", "░"
	if d.marks.more == ".." { // no UTF-8
		full, empty = "#", "."
	}
	n := int(min(max(part, 0), 1) * float64(width))
	return strings.Repeat(full, n) + faint.Render(strings.Repeat(empty, width-n))
}

// figures are the deciding measures, now and with their growth so far.
func (d *soakDisplay) figures(p soak.Progress) []string {
	var lines []string
	for i, m := range soak.Deciding() {
		value, there := p.Last[m.Key]
		if !there {
			continue
		}
		line := fmt.Sprintf("  %-24s %9s", m.Name, megabytes(value))
		if i < len(p.Growth) {
			switch p.Growth[i].Growth {
			case verdict.Flat.String():
				line += "  " + green.Render("flat so far ")
			case verdict.Leak.String():
				line += "  " + red.Render("grows so far")
			default:
				line += "  " + faint.Render("not decided ")
			}
			line += "  " + p.Growth[i].Text
		}
		lines = append(lines, line)
	}
	return lines
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

// textOptions say how the result is printed on out.
func textOptions(out io.Writer) report.TextOptions {
	o := report.TextOptions{Width: 100, ASCII: !utf8Terminal()}
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		o.Colour = os.Getenv("NO_COLOR") == "" && !dumbTerminal()
		o.Width, _ = (&terminalBlock{out: f}).size()
	}
	return o
}

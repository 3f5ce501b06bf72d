package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"
)

// terminalBlock is some lines at the end of a terminal's text that are drawn again and
// again in place.
//
// It only ever writes. The libraries for whole programs on a terminal also ask
// it questions, as soon as they are linked in, and a terminal that does not
// answer would hold every command up for five seconds.
type terminalBlock struct {
	out    *os.File
	widths []int // of the lines that it has now
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseBelow = "\r\x1b[J"
)

// draw prints what is to stand above for good, then the block in its new form.
// No line of the block may be wider than the terminal.
func (b *terminalBlock) draw(above, lines []string, last bool) error {
	var s strings.Builder
	s.WriteString(hideCursor)
	if rows := b.rows(); rows > 0 {
		fmt.Fprintf(&s, "\x1b[%dA", rows)
	}
	s.WriteString(eraseBelow)
	for _, line := range append(above, lines...) {
		s.WriteString(line + "\n")
	}
	if last {
		s.WriteString(showCursor)
	}
	b.widths = b.widths[:0]
	for _, line := range lines {
		b.widths = append(b.widths, lipgloss.Width(line))
	}
	_, err := b.out.WriteString(s.String())
	return err
}

// rows is how many rows the lines take now: a terminal that has become narrower
// has wrapped them.
func (b *terminalBlock) rows() int {
	columns, _ := b.size()
	rows := 0
	for _, width := range b.widths {
		rows += max((width+columns-1)/columns, 1)
	}
	return rows
}

// size is that of the terminal now, or what is usual.
func (b *terminalBlock) size() (columns, rows int) {
	columns, rows, err := term.GetSize(int(b.out.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}

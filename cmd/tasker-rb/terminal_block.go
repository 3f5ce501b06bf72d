package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"
)

// terminalBlock draws a block of lines at the end of a terminal's text, again and
// again in the same place.
//
// It only writes to the terminal. The libraries for terminal programs also query
// the terminal as soon as they are linked in. If the terminal does not answer,
// every command would wait for five seconds.
type terminalBlock struct {
	out    *os.File
	widths []int // of the lines that are drawn now
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseBelow = "\r\x1b[J"
)

// draw prints the lines that stay above the block, and then the new block. No
// line of the block may be wider than the terminal. The cursor is hidden only while
// it moves: any signal may end the process between two blocks.
func (b *terminalBlock) draw(above, lines []string) error {
	var s strings.Builder
	s.WriteString(hideCursor)
	if rows := b.rows(); rows > 0 {
		fmt.Fprintf(&s, "\x1b[%dA", rows)
	}
	s.WriteString(eraseBelow)
	for _, line := range append(above, lines...) {
		s.WriteString(line + "\n")
	}
	s.WriteString(showCursor)
	b.widths = b.widths[:0]
	for _, line := range lines {
		b.widths = append(b.widths, lipgloss.Width(line))
	}
	_, err := b.out.WriteString(s.String())
	return err
}

// rows returns how many rows the lines take now. A terminal that has become
// narrower has wrapped them.
func (b *terminalBlock) rows() int {
	columns, _ := b.size()
	rows := 0
	for _, width := range b.widths {
		rows += max((width+columns-1)/columns, 1)
	}
	return rows
}

// size returns the terminal's current size, or 80 by 24 if it is unknown.
func (b *terminalBlock) size() (columns, rows int) {
	columns, rows, err := term.GetSize(int(b.out.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}

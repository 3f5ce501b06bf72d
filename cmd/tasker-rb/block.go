package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// block is some lines at the end of a terminal's text that are drawn again and
// again in place.
//
// It only ever writes. The libraries for whole programs on a terminal also ask
// it questions, as soon as they are linked in, and a terminal that does not
// answer would hold every command up for five seconds.
type block struct {
	out   *os.File
	lines int // that it has now
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseBelow = "\r\x1b[J"
)

// draw prints what is to stand above for good, then the block in its new form.
// No line of the block may be wider than the terminal.
func (b *block) draw(above, lines []string, last bool) error {
	var s strings.Builder
	s.WriteString(hideCursor)
	if b.lines > 0 {
		fmt.Fprintf(&s, "\x1b[%dA", b.lines)
	}
	s.WriteString(eraseBelow)
	for _, line := range append(above, lines...) {
		s.WriteString(line + "\n")
	}
	if last {
		s.WriteString(showCursor)
	}
	b.lines = len(lines)
	_, err := b.out.WriteString(s.String())
	return err
}

// size is that of the terminal now, or what is usual.
func (b *block) size() (columns, rows int) {
	columns, rows, err := term.GetSize(int(b.out.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}

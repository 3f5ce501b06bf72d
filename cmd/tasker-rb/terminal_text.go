package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
)

// printable shows what is for a terminal to obey: the text of an error or a
// reason may come from anywhere. Ends of lines and tabs stay.
func printable(s string) string {
	odd := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if odd(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// The most characters of an error that are shown, in a line and in full.
const (
	mostInLine = 300
	mostOfText = 4000
)

// shorten cuts a text that is longer than most characters, and says what to do
// about that in more, which gets the number of those left out.
func shorten(s string, most int, more string) string {
	if len(s) <= most {
		return s
	}
	count := utf8.RuneCountInString(s)
	if count <= most {
		return s
	}
	end := 0
	for range most {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	if !strings.Contains(more, "%d") {
		return s[:end] + more
	}
	return s[:end] + fmt.Sprintf(more, count-most)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func shortDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// pad fills a name up to so many columns of a terminal.
func pad(name string, columns int) string {
	return name + strings.Repeat(" ", max(columns-lipgloss.Width(name), 0))
}

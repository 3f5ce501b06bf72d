package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
)

// printable replaces control characters by their codes. The text of an error or
// a reason may come from anywhere, and the terminal must not obey it. Line ends
// and tabs stay.
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

// The most characters of an error that are shown: in one line, and in full.
const (
	mostInLine = 300
	mostOfText = 4000
)

// ellipsis replaces the sign for what is left out where the locale cannot show it.
func ellipsis(text string) string {
	if utf8Terminal() {
		return text
	}
	return strings.ReplaceAll(text, "…", "...")
}

// shorten cuts a text after most characters and adds more. In more, %d stands for
// the number of characters that were cut.
func shorten(s string, most int, more string) string {
	if len(s) <= most {
		return s
	}
	count := utf8.RuneCountInString(s)
	if count <= most {
		return s
	}
	more = ellipsis(more)
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
	if strings.HasSuffix(what, "s") {
		what += "e"
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

// pad fills a name with spaces to a width in terminal columns.
func pad(name string, columns int) string {
	return name + strings.Repeat(" ", max(columns-lipgloss.Width(name), 0))
}

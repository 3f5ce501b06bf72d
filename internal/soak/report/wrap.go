package report

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// wrap breaks a text into lines of at most so many columns. A word that is longer is cut.
func wrap(s string, columns int) []string {
	return wrapTo(s, func(line string) bool { return lipgloss.Width(line) <= columns })
}

// wrapTo breaks a text into lines that fit.
func wrapTo(s string, fits func(string) bool) []string {
	return joinTo(strings.Fields(s), " ", fits)
}

// joinTo joins parts with a separator into lines that fit. The separator stays at the end
// of a line.
func joinTo(parts []string, separator string, fits func(string) bool) []string {
	end := strings.TrimRight(separator, " ")
	var lines []string
	current := ""
	for i, part := range parts {
		after := ""
		if i < len(parts)-1 {
			after = end
		}
		if current != "" && fits(current+separator+part+after) {
			current += separator + part
			continue
		}
		if current != "" {
			lines = append(lines, current+end)
		}
		for !fits(part + after) {
			head, rest := cutTo(part, fits)
			if rest == "" {
				break
			}
			lines, part = append(lines, head), rest
		}
		current = part
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}

// cutTo cuts off as much of a word as fits, one letter at least.
func cutTo(word string, fits func(string) bool) (head, rest string) {
	end := 0
	for i := range word {
		if i > 0 && !fits(word[:i]) {
			break
		}
		end = i
	}
	if end == 0 {
		for i := range word {
			if i > 0 {
				return word[:i], word[i:]
			}
		}
		return word, ""
	}
	return word[:end], word[end:]
}

// shorten cuts the end of a text off.
func shorten(s string, columns int, mark string) string {
	if lipgloss.Width(s) <= columns {
		return s
	}
	room := max(columns-lipgloss.Width(mark), 1)
	head, _ := cutTo(s, func(part string) bool { return lipgloss.Width(part) <= room })
	return strings.TrimRight(head, " ") + mark
}

// shortenStart cuts the beginning of a text off: the end of a file's name says more.
func shortenStart(s string, columns int, mark string) string {
	if lipgloss.Width(s) <= columns {
		return s
	}
	room := max(columns-lipgloss.Width(mark), 1)
	for i := range s {
		if lipgloss.Width(s[i:]) <= room {
			return mark + s[i:]
		}
	}
	return mark
}

func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(columns-lipgloss.Width(s), 0))
}

func padLeft(s string, columns int) string {
	return strings.Repeat(" ", max(columns-lipgloss.Width(s), 0)) + s
}

package costs

import (
	"fmt"
	"slices"
	"strings"
)

// file is what a file of figures has: some words about it, and tables.
type file struct {
	head     []string // lines
	sections []*section
}

type section struct {
	title   string
	columns []string
	rows    []*row
}

type row struct {
	name  string
	cells []string
}

func (f *file) section(title string) *section {
	if i := slices.IndexFunc(f.sections, func(s *section) bool { return s.title == title }); i >= 0 {
		return f.sections[i]
	}
	return nil
}

func (s *section) row(name string) *row {
	if i := slices.IndexFunc(s.rows, func(r *row) bool { return r.name == name }); i >= 0 {
		return s.rows[i]
	}
	return nil
}

// insert puts the row behind the last one of the same name with another version, or at
// the end.
func (s *section) insert(r *row) {
	at := len(s.rows)
	if name, _, found := strings.Cut(r.name, versionMark); found {
		for i, other := range s.rows {
			if strings.HasPrefix(other.name, name+versionMark) {
				at = i + 1
			}
		}
	}
	s.rows = slices.Insert(s.rows, at, r)
}

// parse reads a file: lines that begin with "#", and then tables. The first line of a
// table has its title and its columns.
func parse(text string) (*file, error) {
	f := &file{}
	var now *section
	for n, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			f.head = append(f.head, line)
			continue
		case strings.TrimSpace(line) == "":
			now = nil
			continue
		}
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) < 2:
			return nil, fmt.Errorf("line %d has no column: %q", n+1, line)
		case now == nil:
			now = &section{title: cells[0], columns: cells[1:]}
			f.sections = append(f.sections, now)
		case len(cells)-1 != len(now.columns):
			return nil, fmt.Errorf("line %d has %d figures for %d columns: %q", n+1, len(cells)-1, len(now.columns), line)
		default:
			now.rows = append(now.rows, &row{name: cells[0], cells: cells[1:]})
		}
	}
	return f, nil
}

// text writes the file, with the columns below each other.
func (f *file) text() string {
	var b strings.Builder
	for _, line := range f.head {
		b.WriteString(line + "\n")
	}
	for i, s := range f.sections {
		if i > 0 || len(f.head) > 0 {
			b.WriteString("\n")
		}
		lines := [][]string{append([]string{s.title}, s.columns...)}
		for _, r := range s.rows {
			lines = append(lines, append([]string{r.name}, r.cells...))
		}
		widths := make([]int, len(lines[0]))
		for _, cells := range lines {
			for i, c := range cells {
				widths[i] = max(widths[i], width(c))
			}
		}
		for _, cells := range lines {
			var line strings.Builder
			for i, c := range cells {
				if i > 0 {
					line.WriteString(" | ")
				}
				line.WriteString(c + strings.Repeat(" ", widths[i]-width(c)))
			}
			b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	return b.String()
}

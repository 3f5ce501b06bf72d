package report

import (
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// cells are what a table says of a measure, each under its head.
type cells struct{ name, start, end, slope, interval, growth string }

func cellsOf(m soak.Measure) cells {
	c := cells{name: nameOf(m)}
	if points := samples(m); len(points) > 0 {
		c.start, c.end = level(points[0].y, m.Unit), level(points[len(points)-1].y, m.Unit)
	}
	if m.Trend == nil {
		c.growth = "too few samples"
		return c
	}
	c.slope = slopeText(m.Trend.Slope, m.Unit)
	c.interval = "unknown"
	if finite(m.Trend.Low) && finite(m.Trend.High) {
		c.interval = interval(m.Trend.Low, m.Trend.High)
	}
	c.growth = plain(m.Trend.Growth)
	return c
}

// slopeText has a short unit: tables have little room.
func slopeText(v float64, unit string) string {
	if unit == bytesUnit && finite(v) {
		return figure(v) + " B"
	}
	return figure(v)
}

// column is one of a table.
type column struct {
	head  string
	cell  func(cells) string
	right bool
}

var (
	nameColumn     = column{head: "", cell: func(c cells) string { return c.name }}
	startColumn    = column{head: "at start", cell: func(c cells) string { return c.start }, right: true}
	endColumn      = column{head: "at end", cell: func(c cells) string { return c.end }, right: true}
	slopeColumn    = column{head: "a step", cell: func(c cells) string { return c.slope }, right: true}
	intervalColumn = column{head: "interval", cell: func(c cells) string { return c.interval }}
	growthColumn   = column{head: "verdict", cell: func(c cells) string { return c.growth }}
)

// layouts are the tables from the widest to the narrowest. The first that fits is taken.
var layouts = [][]column{
	{nameColumn, startColumn, endColumn, slopeColumn, intervalColumn, growthColumn},
	{nameColumn, startColumn, endColumn, slopeColumn, growthColumn},
	{nameColumn, endColumn, slopeColumn, growthColumn},
	{nameColumn, slopeColumn, growthColumn},
	{nameColumn, growthColumn},
}

// measures shows those that decide, and of the others those that grow.
func (t *terminal) measures(r *soak.Result) {
	var rows []cells
	for _, m := range r.Measures {
		if m.Decides || m.Trend != nil && m.Trend.Growth == leak {
			row := cellsOf(m)
			row.name = shorten(row.name, mostOfName, t.more)
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return
	}
	t.blank()
	for i, layout := range layouts {
		if width := tableWidth(layout, rows); width <= t.width-indent || i == len(layouts)-1 {
			t.table(layout, rows)
			return
		}
	}
}

const (
	gap        = 2
	mostOfName = 36 // columns: figures matter more than the end of a long name
)

func columnWidth(c column, rows []cells) int {
	width := lipgloss.Width(c.head)
	for _, r := range rows {
		width = max(width, lipgloss.Width(c.cell(r)))
	}
	return width
}

func tableWidth(layout []column, rows []cells) int {
	width := gap * (len(layout) - 1)
	for _, c := range layout {
		width += columnWidth(c, rows)
	}
	return width
}

// table prints the columns. If they are still too wide, names are shortened.
func (t *terminal) table(layout []column, rows []cells) {
	names := columnWidth(layout[0], rows) - max(tableWidth(layout, rows)-(t.width-indent), 0)
	print := func(code string, cell func(column) string) {
		var line strings.Builder
		line.WriteString(strings.Repeat(" ", indent))
		for i, c := range layout {
			width, value := columnWidth(c, rows), cell(c)
			if i == 0 {
				width, value = names, shorten(value, names, t.more)
			} else {
				line.WriteString(strings.Repeat(" ", gap))
			}
			padded := pad(value, width)
			if c.right {
				padded = padLeft(value, width)
			}
			if i == len(layout)-1 {
				padded = strings.TrimRight(padded, " ")
			}
			if code == "" && c.head == growthColumn.head {
				padded = t.paint(wordCode(value), padded)
			}
			line.WriteString(padded)
		}
		t.line(t.paint(code, line.String()))
	}
	print(faintCode, func(c column) string { return c.head })
	for _, r := range rows {
		print("", func(c column) string { return c.cell(r) })
	}
}

// wordCode colours a verdict in the table. Too few samples are no verdict.
func wordCode(growth string) string {
	switch growth {
	case leak, flat, undecided:
		return codeOf(growth)
	}
	return faintCode
}

// wrapCommand breaks a command between its words, so that it can still be copied into a
// shell. A word in quotes stays whole.
func wrapCommand(command string, width int) []string {
	var words []string
	var word strings.Builder
	var quote rune
	for _, c := range command {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		}
		if c == ' ' && quote == 0 {
			words = append(words, word.String())
			word.Reset()
			continue
		}
		word.WriteRune(c)
	}
	words = append(words, word.String())
	var lines []string
	current := words[0]
	for _, w := range words[1:] {
		if lipgloss.Width(current)+1+lipgloss.Width(w)+2 <= width {
			current += " " + w
			continue
		}
		lines, current = append(lines, current+` \`), w
	}
	return append(lines, current)
}

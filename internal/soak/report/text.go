package report

import (
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// TextOptions say how a terminal shows text.
type TextOptions struct {
	Colour bool
	// Width is in columns, 80 if it is 0. Less than 40 is taken for 40.
	Width int
	// ASCII keeps the signs to those of ASCII.
	ASCII bool
}

// Text writes the result for a terminal: the verdict, what grows and where, the measures.
// No line is wider than the options say, except one word of a command that is longer.
func Text(w io.Writer, r *soak.Result, o TextOptions) error {
	t := newTerminal(o)
	t.verdict(r)
	t.blank()
	t.places(r)
	t.classes(r)
	t.suspects(r)
	t.against(r)
	t.measures(r)
	t.outlook(r)
	t.notes(r)
	_, err := io.WriteString(w, t.b.String())
	return errors.Wrap(err, "write the result")
}

// The columns of labels.
const (
	indent     = 2
	labelWide  = 12
	detailWide = 11
	mostShown  = 3 // suspects
)

type terminal struct {
	b           strings.Builder
	width       int
	colour      bool
	more, arrow string
	empty       bool // the last line is
}

func newTerminal(o TextOptions) *terminal {
	t := &terminal{width: o.Width, colour: o.Colour, more: "…", arrow: " → "}
	if o.ASCII {
		t.more, t.arrow = "..", " -> "
	}
	if t.width == 0 {
		t.width = 80
	}
	t.width = max(t.width, 40)
	return t
}

func (t *terminal) line(s string) {
	t.b.WriteString(strings.TrimRight(s, " ") + "\n")
	t.empty = s == ""
}

// blank writes an empty line, but not two.
func (t *terminal) blank() {
	if !t.empty {
		t.line("")
	}
}

// The codes of a terminal for a way of writing.
const (
	boldCode   = "1"
	faintCode  = "2"
	redCode    = "1;31"
	greenCode  = "1;32"
	yellowCode = "1;33"
)

// paint writes a text in a colour, if the terminal has some.
func (t *terminal) paint(code, s string) string {
	if !t.colour || s == "" || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func codeOf(growth string) string {
	switch growth {
	case leak:
		return redCode
	case flat:
		return greenCode
	}
	return yellowCode
}

func (t *terminal) verdict(r *soak.Result) {
	head := word(r.Verdict)
	said := head
	if s := sentence(r.Verdict); s != "" {
		said += ": " + s
	}
	for i, l := range wrap(said, t.width) {
		if rest, whole := strings.CutPrefix(l, head); whole && i == 0 {
			l = t.paint(codeOf(r.Verdict.Growth), head) + rest
		}
		t.line(l)
	}
	ran := "in " + amountOfRun(r.Run) + ", " + timeOfRun(r.Run)
	if r.Run.NoDatabase {
		ran += ", no database"
	}
	if r.Run.Interrupted {
		ran += ", interrupted"
	}
	for _, l := range wrap(ran, t.width) {
		t.line(t.paint(faintCode, l))
	}
}

// entry writes lines beside a label.
func (t *terminal) entry(label string, lines []string) {
	for i, l := range lines {
		head := strings.Repeat(" ", labelWide)
		if i == 0 {
			head = t.paint(faintCode, label) + strings.Repeat(" ", max(labelWide-len(label), 1))
		}
		t.line(strings.Repeat(" ", indent) + head + l)
	}
}

// body is how wide the text beside a label is.
func (t *terminal) body() int { return t.width - indent - labelWide }

func (t *terminal) places(r *soak.Result) {
	for i, p := range r.Where {
		name := placeName(p.Kind)
		said := placeText(p)
		if !strings.HasPrefix(strings.ToLower(said), strings.ToLower(name)) {
			said = name + ": " + said
		}
		lines := wrap(said, t.body())
		if p.Hint != "" {
			lines = append(lines, t.hint(p.Hint, t.body())...)
		}
		t.entry(first(i, "where"), lines)
	}
}

// first is the label of the first of several entries.
func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}

func (t *terminal) hint(hint string, width int) []string {
	var lines []string
	for _, l := range wrap("hint: "+plain(hint), width) {
		lines = append(lines, t.paint(faintCode, l))
	}
	return lines
}

// classes shows those that grow. The page has the others.
func (t *terminal) classes(r *soak.Result) {
	var shown []soak.Share
	for _, s := range r.Classes {
		if s.Grows {
			shown = append(shown, s)
		}
	}
	for i, s := range shown {
		said := growth(s.Bytes, s.Low, s.High, unitOf(r, s.Measure), "call")
		if m := find(r.Measures, s.Measure); m != nil && (i > 0 || len(r.Classes) > 1) {
			said += " of " + nameOf(*m)
		}
		lines := wrap(classNames(s)+"   "+said, t.body())
		if name := classNames(s); lipgloss.Width(name)+3+lipgloss.Width(said) <= t.body() {
			lines = []string{name + "   " + said}
		}
		if len(s.Classes) > 1 {
			lines = append(lines, wrap("they cannot be told apart", t.body())...)
		}
		t.entry(first(i, "class"), lines)
	}
}

func (t *terminal) suspects(r *soak.Result) {
	for i, s := range r.Suspects {
		if i == mostShown {
			t.entry("", wrap(counted(int64(len(r.Suspects)-mostShown), "more suspect")+" in the report", t.body()))
			return
		}
		lines := wrap(suspectText(s), t.body())
		lines = append(lines, t.located("allocated", s.Allocated)...)
		lines = append(lines, t.located("stored in", s.Stored)...)
		lines = append(lines, t.held(s.Path)...)
		t.entry(first(i, "suspect"), lines)
	}
}

// located is a line of a file with its code: beside it, or below it if that is too wide.
func (t *terminal) located(label string, l *soak.Line) []string {
	if l == nil {
		return nil
	}
	room := t.body() - detailWide
	where, code := shortenStart(place(l), room, t.more), plain(l.Code)
	head := t.paint(faintCode, label) + strings.Repeat(" ", detailWide-len(label))
	wide := lipgloss.Width(where)
	switch {
	case code == "":
		return []string{head + where}
	case wide+3+min(lipgloss.Width(code), 24) <= room:
		return []string{head + where + "   " + t.paint(boldCode, shorten(code, room-wide-3, t.more))}
	}
	below := strings.Repeat(" ", detailWide)
	return []string{head + where, below + t.paint(boldCode, shorten(code, room, t.more))}
}

func (t *terminal) held(path []soak.Holder) []string {
	room := t.body() - detailWide
	var lines []string
	for i, l := range joinTo(chain(path), t.arrow, func(s string) bool { return lipgloss.Width(s) <= room }) {
		label := first(i, "held by")
		lines = append(lines, t.paint(faintCode, label)+strings.Repeat(" ", detailWide-len(label))+l)
	}
	return lines
}

// against says how much faster the deciding measures grow than in the other version.
func (t *terminal) against(r *soak.Result) {
	if r.Against == nil {
		return
	}
	lines := wrap("compared with "+plain(r.Against.Name), t.body())
	for _, m := range deciding(r) {
		if d := m.Difference; d != nil {
			lines = append(lines, wrap(nameOf(m)+": "+differenceText(d, m.Unit), t.body())...)
		}
	}
	t.entry("against", lines)
}

// differenceText is 3 bytes a step faster (2 to 4): leak.
func differenceText(d *soak.Trend, unit string) string {
	value, word := d.Slope, "faster"
	low, high := d.Low, d.High
	if value < 0 {
		value, word, low, high = -value, "slower", -d.High, -d.Low
	}
	return amount(value, unit) + " a step " + word + " (" + interval(low, high) + "): " + plain(d.Growth)
}

func (t *terminal) outlook(r *soak.Result) {
	lines := outlook(r)
	if len(lines) == 0 {
		return
	}
	t.blank()
	for _, l := range wrap(strings.Join(lines, " "), t.width) {
		t.line(l)
	}
	if command := commandToDecide(r); command != "" {
		for _, l := range wrapCommand(clean(command), t.width-indent) {
			t.line(strings.Repeat(" ", indent) + t.paint(boldCode, l))
		}
	}
}

func (t *terminal) notes(r *soak.Result) {
	for i, n := range r.Notes {
		if i == 0 {
			t.blank()
		}
		for _, l := range wrap("note: "+plain(n.Text), t.width) {
			t.line(l)
		}
		if n.Hint != "" {
			for _, l := range t.hint(n.Hint, t.width-indent) {
				t.line(strings.Repeat(" ", indent) + l)
			}
		}
	}
}

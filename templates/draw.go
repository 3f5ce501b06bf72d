package templates

import (
	"fmt"
	"slices"
	"strings"
)

// Drawing holds the options of [Template.Draw]. The zero value draws Unicode
// lines, a dot for each step, and its name.
type Drawing struct {
	// ASCII draws with ASCII characters only.
	ASCII bool
	// Mark returns the sign of a step, one column wide. Without Mark, or when
	// it returns "", the sign is a dot.
	Mark func(*Step) string
	// Label returns the text beside the sign. Without Label it is the name. If
	// the step has several parents, their names follow, because the picture
	// alone could be misread.
	Label func(*Step) string
}

// Text draws the template for a terminal: a head line, and one line for each
// step with the lines from its parents.
//
//	ecommerce/order 1.0.0 (4 steps, 3 levels)
//
//	●    validate
//	├─●  reserve
//	● │  charge
//	●─╯  ship  <- reserve, charge
func (t *Template) Text() string { return t.head() + t.Draw(Drawing{}) }

// TextASCII is [Template.Text] for terminals without Unicode.
func (t *Template) TextASCII() string { return t.head() + t.Draw(Drawing{ASCII: true}) }

func (t *Template) head() string {
	levels := 0
	for _, s := range t.Steps {
		levels = max(levels, s.Level+1)
	}
	about := []string{count(len(t.Steps), "step"), count(levels, "level")}
	if t.Queue != defaultQueue {
		about = append(about, "queue "+t.Queue)
	}
	if t.Keep != (Keep{}) {
		about = append(about, "kept "+t.Keep.String())
	}
	return fmt.Sprintf("%s (%s)\n\n", t.ID(), strings.Join(about, ", "))
}

// Draw draws one line for each step, in the order of Steps. A step begins a
// lane, a column of the picture, that goes down to its last child. A child sits
// in a lane that ends with it, or in a free lane, and is joined to the lanes of
// its parents. If the picture is too wide for a terminal, Draw lists the steps
// by level instead.
func (t *Template) Draw(d Drawing) string {
	p := &painter{template: t, drawing: d}
	rows := make([]string, len(t.Steps))
	width := 0
	for i, s := range t.Steps {
		rows[i] = p.row(s)
		width = max(width, len([]rune(rows[i])))
	}
	if width > widest {
		return p.list()
	}
	var out strings.Builder
	for i, s := range t.Steps {
		label := p.label(s)
		line := rows[i] + strings.Repeat(" ", width-len([]rune(rows[i]))) + "  " + label
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}

const (
	// widest is how many columns the lanes may take. A wider picture wraps on a
	// terminal and cannot be followed.
	widest = 80
	// mostParents is how many parents a label names.
	mostParents = 10
)

// list lists the steps by level. It serves templates that are too wide to draw.
func (p *painter) list() string {
	var out strings.Builder
	for i, level := range p.template.Levels() {
		fmt.Fprintf(&out, "level %d (%s)\n", i+1, count(len(level), "step"))
		for _, s := range level {
			label := p.label(s)
			if p.drawing.Label == nil && len(s.Parents) == 1 {
				label += "  <- " + s.Parents[0]
			}
			fmt.Fprintf(&out, "  %s  %s\n", p.draw(shape{step: true}, s), label)
		}
	}
	return out.String()
}

// painter draws the rows and keeps the lanes between them.
type painter struct {
	template *Template
	drawing  Drawing
	lanes    []lane
}

// lane is one column of the picture.
type lane struct {
	step *Step // has children in later rows; nil when the lane is free
	left int   // how many children are in later rows
	// fresh means that the lane ended in the row above. A step placed in it
	// would look like a child of the step in that row.
	fresh bool
}

func (p *painter) label(s *Step) string {
	if p.drawing.Label != nil {
		return p.drawing.Label(s)
	}
	if len(s.Parents) < 2 {
		return s.Name
	}
	shown, more := s.Parents, ""
	if len(shown) > mostParents {
		shown, more = shown[:mostParents], fmt.Sprintf(" and %d more", len(shown)-mostParents)
	}
	return s.Name + "  <- " + strings.Join(shown, ", ") + more
}

// row draws one step and moves the lanes on.
func (p *painter) row(s *Step) string {
	ending, going := p.parentLanes(s)
	column := p.column(ending)
	if column == len(p.lanes) {
		p.lanes = append(p.lanes, lane{})
	}
	joined := append(slices.Clone(ending), going...)
	joined = append(joined, column)
	left, right := slices.Min(joined), slices.Max(joined)
	var out strings.Builder
	for i, l := range p.lanes {
		shape := shape{
			step:  i == column,
			up:    l.step != nil,
			down:  l.step != nil && !slices.Contains(ending, i),
			left:  i > left && i <= right,
			right: i >= left && i < right,
			joins: i == column || slices.Contains(ending, i) || slices.Contains(going, i),
		}
		out.WriteString(p.draw(shape, s))
		if shape.right {
			out.WriteString(p.pick("─", "-"))
		} else {
			out.WriteByte(' ')
		}
	}
	for i := range p.lanes {
		p.lanes[i].fresh = false
	}
	for _, i := range ending {
		p.lanes[i] = lane{fresh: true}
	}
	for _, i := range going {
		p.lanes[i].left--
	}
	p.lanes[column] = lane{step: s, left: len(s.Children)}
	if len(s.Children) == 0 {
		p.lanes[column] = lane{fresh: true}
	}
	return strings.TrimRight(out.String(), " ")
}

// parentLanes finds the lanes of the parents. A lane ends here if the parent has
// no child in a later row.
func (p *painter) parentLanes(s *Step) (ending, going []int) {
	for i, l := range p.lanes {
		if l.step == nil || !slices.Contains(s.Parents, l.step.Name) {
			continue
		}
		if l.left == 1 {
			ending = append(ending, i)
		} else {
			going = append(going, i)
		}
	}
	return ending, going
}

// column chooses where the step sits.
func (p *painter) column(ending []int) int {
	if len(ending) > 0 {
		return ending[0]
	}
	for i, l := range p.lanes {
		if l.step == nil && !l.fresh {
			return i
		}
	}
	return len(p.lanes)
}

// shape says which sides of a cell the picture joins.
type shape struct {
	step                  bool
	up, down, left, right bool
	// joins means that the horizontal line meets this lane; otherwise it passes.
	joins bool
}

func (p *painter) pick(unicode, ascii string) string {
	if p.drawing.ASCII {
		return ascii
	}
	return unicode
}

func (p *painter) draw(c shape, s *Step) string {
	horizontal := c.left || c.right
	switch {
	case c.step:
		if p.drawing.Mark != nil {
			if mark := p.drawing.Mark(s); mark != "" {
				return mark
			}
		}
		return p.pick("●", "*")
	case horizontal && !c.joins && c.up:
		return p.pick("│", "|") // a bridge: the line passes behind the lane
	case horizontal && !c.joins:
		return p.pick("─", "-")
	case c.up && c.down && c.left && c.right:
		return p.pick("┼", "+")
	case c.up && c.down && c.right:
		return p.pick("├", "+")
	case c.up && c.down && c.left:
		return p.pick("┤", "+")
	case c.up && c.left && c.right:
		return p.pick("┴", "+")
	case c.up && c.right:
		return p.pick("╰", "'")
	case c.up && c.left:
		return p.pick("╯", "'")
	case c.up:
		return p.pick("│", "|")
	default:
		return " "
	}
}

package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Problem is one fault of a template file, or a warning.
type Problem struct {
	File string
	// Warning says that the template is valid nevertheless.
	Warning bool
	// RunTime says that the template needs steps that are made or chosen while a task
	// runs. Nothing in its own words can mend that.
	RunTime bool
	// Line and Column count from 1. They are 0 when the fault has no place in
	// the file, for example when the file does not exist.
	Line, Column int
	// Message says what is wrong, Hint what to do. Hint may be empty.
	Message, Hint string
}

// Position returns the place of the fault.
func (p Problem) Position() Position {
	return Position{File: p.File, Line: p.Line, Column: p.Column}
}

// String returns the place and the message, without the hint.
func (p Problem) String() string {
	return p.Position().String() + ": " + p.Message
}

// Problems is the error of [Load], [Parse] and [LoadDir]. It lists every fault in
// the order of their places. At least one Problem is not a warning.
type Problems struct {
	List []Problem
	// Unfinished has what could be read of a file with problems: TaskHandlerClass and the
	// steps whose handlers could be read, with their positions. It is good for checking
	// that these exist, and for nothing else. It is nil when nothing could be read.
	Unfinished *Template
	// cause is the operating system's error when a file could not be read.
	cause error
}

// Error lists the problems, each on a line of its own, with its hint below it.
func (p *Problems) Error() string {
	var out strings.Builder
	for i, problem := range p.List {
		if i > 0 {
			out.WriteByte('\n')
		}
		if problem.Warning {
			out.WriteString("warning: ")
		}
		out.WriteString(problem.String())
		if problem.Hint != "" {
			out.WriteString("\n    " + problem.Hint)
		}
	}
	return out.String()
}

// Unwrap returns the operating system's error when a file could not be read,
// so that errors.Is(err, fs.ErrNotExist) works.
func (p *Problems) Unwrap() error { return p.cause }

// maxProblems is how many problems are listed. Nobody reads a longer list.
const maxProblems = 200

// collector gathers the problems of one file. A problem that is found again in
// another environment counts once.
type collector struct {
	file string
	list []Problem
	// seen holds the index of each problem in list, as if it were no warning.
	seen map[Problem]int
	// kinds are the kinds of warnings that were given.
	kinds map[string]bool
	// unused says that an environment is read that is not in use. Its unknown keys
	// are warnings.
	unused bool
	// suggestions is how many more suggestions may be computed. Each one costs a
	// pass over all names.
	suggestions int
}

func newCollector(file string) *collector {
	return &collector{file: file, seen: make(map[Problem]int), kinds: make(map[string]bool), suggestions: 50}
}

// at reports a problem at a node; hint may be empty.
func (c *collector) at(n *tree.Node, hint, format string, args ...any) {
	c.place(n.Line, n.Column, hint, format, args...)
}

// key reports a problem at the key of a member.
func (c *collector) key(m tree.Member, hint, format string, args ...any) {
	c.place(m.Line, m.Column, hint, format, args...)
}

func (c *collector) place(line, column int, hint, format string, args ...any) {
	c.add(Problem{File: c.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// runTime reports steps that are made or chosen while a task runs.
func (c *collector) runTime(line, column int, format string, args ...any) {
	c.add(Problem{File: c.file, RunTime: true, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: runTimeHint})
}

// warn gives a warning at the key of a member. A file gets one warning of a kind.
func (c *collector) warn(kind string, m tree.Member, hint, format string, args ...any) {
	if c.kinds[kind] {
		return
	}
	c.kinds[kind] = true
	c.add(Problem{File: c.file, Warning: true, Line: m.Line, Column: m.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// add adds a problem. What is a warning at first and a fault later is a fault.
func (c *collector) add(p Problem) {
	id := p
	id.Warning = false
	i, known := c.seen[id]
	if !known {
		c.seen[id] = len(c.list)
		c.list = append(c.list, p)
		return
	}
	c.list[i].Warning = c.list[i].Warning && p.Warning
}

func (c *collector) position(line, column int) Position {
	return Position{File: c.file, Line: line, Column: column}
}

// err returns nil, or a *Problems.
func (c *collector) err() error {
	if list := c.faults(); list != nil {
		return &Problems{List: list}
	}
	return nil
}

// faults returns nil, or the problems in the order of the places. It has the warnings as
// well, but not when there is nothing else.
func (c *collector) faults() []Problem {
	if !slices.ContainsFunc(c.list, func(p Problem) bool { return !p.Warning }) {
		return nil
	}
	list := c.sorted()
	if len(list) > maxProblems {
		more := Problem{File: c.file, Message: fmt.Sprintf("%d more problems are not shown", len(list)-maxProblems)}
		list = append(slices.Clone(list[:maxProblems]), more)
	}
	return list
}

// sorted returns the problems in the order of their places.
func (c *collector) sorted() []Problem {
	list := slices.Clone(c.list)
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
}

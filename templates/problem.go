package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Problem is one fault of a template file.
type Problem struct {
	File string
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
// the order of their places. It has at least one Problem.
type Problems struct {
	List []Problem
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
	seen map[Problem]bool
	// suggestions is how many more suggestions may be computed. Each one costs a
	// pass over all names.
	suggestions int
}

func newCollector(file string) *collector {
	return &collector{file: file, seen: make(map[Problem]bool), suggestions: 50}
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
	p := Problem{File: c.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint}
	if !c.seen[p] {
		c.seen[p] = true
		c.list = append(c.list, p)
	}
}

func (c *collector) position(line, column int) Position {
	return Position{File: c.file, Line: line, Column: column}
}

// err returns nil, or a *Problems in the order of the places.
func (c *collector) err() error {
	if len(c.list) == 0 {
		return nil
	}
	slices.SortStableFunc(c.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	list := c.list
	if len(list) > maxProblems {
		more := Problem{File: c.file, Message: fmt.Sprintf("%d more problems are not shown", len(list)-maxProblems)}
		list = append(slices.Clone(list[:maxProblems]), more)
	}
	return &Problems{List: list}
}

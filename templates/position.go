package templates

import "fmt"

// Position is a place in a template file. Line and Column count from 1. They are
// 0 when the place is the whole file, and Column is 0 when it is a line. File is empty in a decoded template.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:column, or what is known of it, which editors and terminals turn into a link.
func (p Position) String() string {
	file := p.File
	if file == "" {
		file = "template"
	}
	if p.Line == 0 {
		return file
	}
	if p.Column == 0 {
		return fmt.Sprintf("%s:%d", file, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
}

package templates

import "fmt"

// Position is a place in a template file. Line and Column count from 1; they
// are 0 when the place is the whole file, and File is empty in a template that
// was decoded rather than read.
type Position struct {
	File         string
	Line, Column int
}

// String is file:line:column, the form editors and terminals make a link of.
func (p Position) String() string {
	file := p.File
	if file == "" {
		file = "template"
	}
	if p.Line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
}

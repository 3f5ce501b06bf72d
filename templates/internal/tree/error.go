package tree

import (
	"fmt"
	"strings"
)

// Error is one fault of a document.
type Error struct {
	Line, Column int
	Message      string
	// Hint says what to do; it may be empty.
	Hint string
}

// Errors holds all faults of a document, in the order of their places.
type Errors []Error

// Error lists the faults, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, fault := range e {
		lines[i] = fmt.Sprintf("%d:%d: %s", fault.Line, fault.Column, fault.Message)
	}
	return strings.Join(lines, "\n")
}

func (e *Errors) add(line, column int, hint, format string, args ...any) {
	*e = append(*e, Error{Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// rootPath is the first part of every violation's path.
const rootPath = "context"

// Violation is one fault of a context.
type Violation struct {
	// Path leads to the value: context.items[3].price.
	Path string
	// Message continues the path: "must be at least 0, got -5".
	Message string
}

// String returns the path and the message.
func (v Violation) String() string { return v.Path + " " + v.Message }

// ContextError is the error of [Template.ValidateContext].
type ContextError struct {
	// Template is the ID of the template.
	Template string
	// Violations has at least one element.
	Violations []Violation
	// Malformed says that the context is not a JSON object that can be stored.
	// It was not checked against the schema.
	Malformed bool
}

// Error lists the violations, one a line.
func (e *ContextError) Error() string {
	if len(e.Violations) == 1 {
		return fmt.Sprintf("bad context for %s: %s", e.Template, e.Violations[0])
	}
	var out strings.Builder
	fmt.Fprintf(&out, "bad context for %s, %d faults:", e.Template, len(e.Violations))
	for _, v := range e.Violations {
		out.WriteString("\n  " + v.String())
	}
	return out.String()
}

// ValidateContext checks the context of a new task against the template's
// schema and fills in the schema's defaults. The context must be a JSON object.
// A template without a schema accepts any object.
//
// The result is compact JSON. Keys keep the order of the input, and defaults
// follow them. Numbers keep the text they were written with, whatever their
// size.
//
// The error is a [*ContextError] that lists every violation. A context violates
// the grammar of JSON, the limits of storage (no duplicate keys, no NUL
// character, no half of a surrogate pair), or the schema.
func (t *Template) ValidateContext(context []byte) (json.RawMessage, error) {
	fail := func(violations ...Violation) (json.RawMessage, error) {
		return nil, &ContextError{Template: t.ID(), Violations: violations}
	}
	malformed := func(violations ...Violation) (json.RawMessage, error) {
		return nil, &ContextError{Template: t.ID(), Violations: violations, Malformed: true}
	}
	if len(bytes.TrimSpace(context)) == 0 {
		return malformed(Violation{rootPath, "is empty; it must be a JSON object, at least {}"})
	}
	root, err := tree.ParseJSON(context)
	var faults tree.Errors
	if errors.As(err, &faults) {
		violations := make([]Violation, len(faults))
		for i, f := range faults {
			violations[i] = Violation{rootPath, fmt.Sprintf("is not usable JSON, line %d, column %d: %s", f.Line, f.Column, f.Message)}
		}
		return malformed(violations...)
	}
	if root.Kind != tree.Object {
		return malformed(Violation{rootPath, "must be a JSON object, got " + jsonName(root.Kind)})
	}
	if t.schema != nil {
		if root, err = t.schema.fill(root); err != nil {
			return fail(Violation{rootPath, "cannot be completed: " + err.Error()})
		}
		if violations := t.schema.validate(root); len(violations) > 0 {
			return fail(violations...)
		}
	}
	return root.AppendJSON(nil), nil
}

// jsonName returns JSON's name of a kind.
func jsonName(k tree.Kind) string {
	switch k {
	case tree.Null:
		return "null"
	case tree.Bool:
		return "a boolean"
	case tree.Integer, tree.Float:
		return "a number"
	case tree.String:
		return "a string"
	case tree.Array:
		return "an array"
	default:
		return "an object"
	}
}

package templates

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// CheckContext checks a context against a JSON schema that is in no template: that of a
// task handler. It reads the schema as a template's is read. It returns the violations. The
// error says what is wrong with the schema itself, or that the context is no JSON.
func CheckContext(schema, context []byte) ([]Violation, error) {
	if bytes.Equal(bytes.TrimSpace(schema), []byte("null")) {
		return nil, nil
	}
	rules, err := tree.ParseJSON(schema)
	if err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	compiled, faults := compileSchema(rules)
	if len(faults) > 0 {
		list := make([]string, len(faults))
		for i, f := range faults {
			list[i] = strings.TrimPrefix(strings.Join(append([]string{"schema"}, f.path...), ".")+": "+f.message, "schema: schema: ")
		}
		return nil, errors.New(strings.Join(list, "; "))
	}
	value, err := tree.ParseJSON(context)
	if err != nil {
		return nil, fmt.Errorf("the context is not JSON: %w", err)
	}
	return compiled.validate(value), nil
}

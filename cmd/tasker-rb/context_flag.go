package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/templates"
)

// readDocument reads the value of a flag: JSON, @FILE, or - for standard input.
func readDocument(flag, from string, stdin io.Reader) (json.RawMessage, error) {
	switch {
	case from == "-":
		b, err := io.ReadAll(stdin)
		return b, errors.Wrapf(err, "reading --%s from standard input", flag)
	case strings.HasPrefix(from, "@"):
		b, err := os.ReadFile(from[1:])
		if err != nil {
			return nil, errors.WithHintf(errors.Newf("--%s: the file %s cannot be read: %v", flag, from[1:], lastCause(err)),
				"--%s takes JSON, @FILE, or - for standard input.", flag)
		}
		return b, nil
	default:
		return json.RawMessage(from), nil
	}
}

// taskContext reads the flag --context and checks it against the template.
func taskContext(t *templates.Template, from string, stdin io.Reader) (json.RawMessage, error) {
	given, err := readDocument("context", from, stdin)
	if err != nil {
		return nil, err
	}
	return checkContext(t, given, from)
}

// checkContext checks what was read from a flag --context.
func checkContext(t *templates.Template, given json.RawMessage, from string) (json.RawMessage, error) {
	checked, err := t.ValidateContext(given)
	var wrong *templates.ContextError
	if errors.As(err, &wrong) {
		return nil, &badContext{wrong, from, t.Position.File}
	}
	return checked, err
}

// badContext is the error of a context that cannot be used, with its source.
type badContext struct {
	*templates.ContextError
	from string // the value of --context
	file string // of the template
}

// print prints the error. A context that is not a JSON object gets other words
// than one that the template's schema refuses.
func (e *badContext) print(w io.Writer) {
	where := ""
	switch {
	case e.from == "-":
		where = " from standard input"
	case strings.HasPrefix(e.from, "@"):
		where = " in " + e.from[1:]
	}
	if e.Malformed {
		for _, v := range e.Violations {
			fmt.Fprintf(w, "error: the %s%s %s\n", v.Path, where, v.Message)
		}
		fmt.Fprintln(w, "hint: "+e.remedy())
		return
	}
	fmt.Fprintf(w, "error: the context%s does not fit the template %s\n", where, e.Template)
	for _, v := range e.Violations {
		fmt.Fprintf(w, "  %s\n", v)
	}
	fmt.Fprintf(w, "hint: schema: in %s says what it must be; give it with --context JSON, @FILE, or - for standard input.\n", e.file)
}

// looksLikeFile matches what is likelier the name of a file than JSON.
var looksLikeFile = regexp.MustCompile(`^[\w./~-]+\.\w+$`)

func (e *badContext) remedy() string {
	switch {
	case e.from == "-":
		return `Write one JSON object to standard input, such as {"order_id": 42}.`
	case strings.HasPrefix(e.from, "@"):
		return `Correct that file; it must hold one JSON object, such as {"order_id": 42}.`
	}
	if info, err := os.Stat(e.from); err == nil && !info.IsDir() {
		return fmt.Sprintf("To read a file, write --context @%s.", e.from)
	}
	if looksLikeFile.MatchString(e.from) {
		return fmt.Sprintf("If that is a file, write --context @%s; otherwise give a JSON object in single quotes, such as '{\"order_id\": 42}'.", e.from)
	}
	return `--context takes a JSON object in single quotes, such as '{"order_id": 42}', @FILE, or - for standard input.`
}

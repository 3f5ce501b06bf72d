package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/templates"
)

// sources says what a flag takes, with these words for JSON.
func sources(literal string, stdin bool) string {
	if stdin {
		return literal + ", @FILE, or - for standard input"
	}
	return literal + ", or @FILE"
}

// readDocument reads the value of a flag: JSON, @FILE, or - for standard input.
func readDocument(ctx context.Context, flag, from string, stdin io.Reader) (json.RawMessage, error) {
	switch {
	case from == "-":
		b, err := readInput(ctx, stdin)
		return b, errors.Wrapf(err, "reading --%s from standard input", flag)
	case from == "@":
		return nil, errors.WithHintf(errors.Newf("--%s: there is no file name after @", flag), "--%s takes %s.", flag, sources("JSON", stdin != nil))
	case strings.HasPrefix(from, "@"):
		b, err := readFile(ctx, from[1:])
		if err != nil {
			return nil, errors.WithHintf(errors.Newf("--%s: the file %s cannot be read: %v", flag, from[1:], lastCause(err)),
				"--%s takes %s.", flag, sources("JSON", stdin != nil))
		}
		return b, nil
	default:
		return json.RawMessage(from), nil
	}
}

// taskContext reads the flag --context and checks it against the template. stdin is nil
// where the flag cannot be -.
func taskContext(ctx context.Context, t *templates.Template, from string, stdin io.Reader) (json.RawMessage, error) {
	given, err := readDocument(ctx, "context", from, stdin)
	if err != nil {
		return nil, err
	}
	checked, err := checkContext(t, given, from)
	var wrong *badContext
	if errors.As(err, &wrong) {
		wrong.noStdin = stdin == nil
	}
	return checked, err
}

// checkContext checks what was read from a flag --context.
func checkContext(t *templates.Template, given json.RawMessage, from string) (json.RawMessage, error) {
	checked, err := t.ValidateContext(given)
	var wrong *templates.ContextError
	if errors.As(err, &wrong) {
		return nil, &badContext{ContextError: wrong, from: from, file: t.Position.File}
	}
	return checked, err
}

// badContext is the error of a context that cannot be used, with its source.
type badContext struct {
	*templates.ContextError
	from string // the value of --context
	file string // of the template

	noStdin bool // standard input is no source of it
}

// print prints the error. A context that is not a JSON object gets other words
// than one that the template's schema refuses.
func (e *badContext) print(w io.Writer) {
	if e.Malformed {
		for _, v := range e.Violations {
			fmt.Fprintf(w, "error: %s\n", e.message(v))
		}
	} else {
		fmt.Fprintf(w, "error: %s\n", e.unfit())
		for _, v := range e.Violations {
			fmt.Fprintf(w, "  %s\n", v)
		}
	}
	fmt.Fprintln(w, "hint: "+e.remedy())
}

// document has each fault with its remedy. What does not fit says where it is by its path, and
// the first fault, which is the error, says which context that is.
func (e *badContext) document() errorDocument {
	d := errorDocument{Hint: e.remedy()}
	for _, v := range e.Violations {
		d.Errors = append(d.Errors, placedJSON{Message: e.message(v), Hint: d.Hint})
	}
	d.Error = d.Errors[0].Message
	if !e.Malformed {
		d.Error = e.unfit() + ": " + d.Error
	}
	return d
}

// message is one fault.
func (e *badContext) message(v templates.Violation) string {
	if e.Malformed {
		return fmt.Sprintf("the %s%s %s", v.Path, e.source(), v.Message)
	}
	return v.String()
}

func (e *badContext) unfit() string {
	return fmt.Sprintf("the context%s does not fit the template %s", e.source(), e.Template)
}

// source says where the context is from, unless it is in the flag itself.
func (e *badContext) source() string {
	switch {
	case e.from == "-":
		return " from standard input"
	case strings.HasPrefix(e.from, "@"):
		return " in " + e.from[1:]
	default:
		return ""
	}
}

// looksLikeFile matches what is likelier the name of a file than JSON.
var looksLikeFile = regexp.MustCompile(`^[\w./~-]+\.\w+$`)

func (e *badContext) remedy() string {
	switch {
	case !e.Malformed:
		return fmt.Sprintf("schema: in %s says what it must be; give it with --context %s.", e.file, sources("JSON", !e.noStdin))
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
	return "--context takes " + sources(`a JSON object in single quotes, such as '{"order_id": 42}'`, !e.noStdin) + "."
}

package orchestration

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
)

// redactedText stands in the place of a redacted value.
const redactedText = "[redacted]"

// ErrNothingRedacted says that a path leads to nothing in an export.
var ErrNothingRedacted = errors.New("the path leads to nothing")

// Redact returns an export in which "[redacted]" stands for each value that one of the
// paths leads to: context.card.number, steps.charge.results.token,
// $.context.items[*].email. A part of a path is a key, [n], ["a key"], or * for every
// member or element. The other values keep their text.
//
// If a path leads to nothing, the error is [ErrNothingRedacted] with the names that are
// near. Only the values at the paths are replaced: an error's message, for example, may
// repeat one of them.
func (x *Export) Redact(paths ...string) (*Export, error) {
	document, err := x.Encode()
	if err != nil {
		return nil, err
	}
	var found []span
	for _, text := range paths {
		path, err := parsePath(text)
		if err != nil {
			return nil, err
		}
		w := pathWalk{path: path, text: text}
		if err := w.walk(document, 0, 0); err != nil {
			return nil, err
		}
		if len(w.found) == 0 {
			return nil, w.nothing()
		}
		found = append(found, w.found...)
	}
	redacted, err := DecodeExport(replace(document, found))
	if err != nil {
		return nil, errors.WithHint(errors.Newf("%s cannot be redacted: the export could not be read without it", strings.Join(paths, ", ")),
			"Redact values inside of it, such as context.* or steps.NAME.results.")
	}
	for _, path := range paths {
		if !slices.Contains(redacted.Redacted, path) {
			redacted.Redacted = append(redacted.Redacted, path)
		}
	}
	return redacted, nil
}

// span is a value's place in a document.
type span struct{ start, end int }

// replace writes "[redacted]" for each span. A span inside of another one goes with it.
func replace(document []byte, found []span) []byte {
	slices.SortFunc(found, func(a, b span) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	var b bytes.Buffer
	at := 0
	for _, s := range found {
		if s.start >= at {
			b.Write(document[at:s.start])
			b.WriteString(strconv.Quote(redactedText))
			at = s.end
		}
	}
	b.Write(document[at:])
	return b.Bytes()
}

// pathPart is a key or an index, or, if any is set, every one of them.
type pathPart struct {
	key   string
	index int // -1 for a key
	any   bool
}

func (p pathPart) fits(key string, index int) bool {
	return p.any || index >= 0 && index == p.index || index < 0 && p.index < 0 && key == p.key
}

func parsePath(text string) ([]pathPart, error) {
	bad := func(format string, args ...any) ([]pathPart, error) {
		return nil, errors.WithHint(errors.Newf("the path %q "+format, append([]any{text}, args...)...),
			`Write it like context.card.number, context.items[*].email or steps.charge.results["a key"].`)
	}
	var path []pathPart
	rest := strings.TrimPrefix(strings.TrimPrefix(text, "$"), ".")
	for rest != "" {
		if rest[0] == '[' {
			part, after, ok := bracket(rest)
			if !ok {
				return bad("has a part in brackets that is none: %s", rest)
			}
			path, rest = append(path, part), after
		} else {
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return bad("has an empty part")
			}
			path, rest = append(path, pathPart{key: rest[:end], index: -1, any: rest[:end] == "*"}), rest[end:]
		}
		if strings.HasPrefix(rest, ".") {
			if rest = rest[1:]; rest == "" || rest[0] == '[' {
				return bad("has an empty part")
			}
		}
	}
	if len(path) == 0 {
		return bad("is empty")
	}
	return path, nil
}

// bracket reads [n], [*] or ["key"] at the beginning of text.
func bracket(text string) (part pathPart, after string, ok bool) {
	inner := text[1:]
	if inner != "" && (inner[0] == '"' || inner[0] == '\'') {
		key, after, ok := strings.Cut(inner[1:], inner[:1]+"]")
		return pathPart{key: key, index: -1}, after, ok
	}
	inner, after, ok = strings.Cut(inner, "]")
	if inner == "*" {
		return pathPart{index: -1, any: true}, after, ok
	}
	n, err := strconv.Atoi(inner)
	return pathPart{index: n}, after, ok && err == nil && n >= 0
}

// pathWalk finds the values of a path, and remembers where it got lost.
type pathWalk struct {
	path  []pathPart
	text  string
	found []span

	lost     int      // the deepest part that nothing fitted
	names    []string // the keys that were there instead
	elements int      // or the number of elements
}

// walk looks for the rest of the path, from part on, in the value at the offset.
func (w *pathWalk) walk(value []byte, offset, part int) error {
	if part == len(w.path) {
		w.found = append(w.found, span{offset, offset + len(value)})
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(value))
	open, err := d.Token()
	if err != nil {
		return err
	}
	var names []string
	elements, fitted := 0, false
	for ; open == json.Delim('{') || open == json.Delim('['); elements++ {
		if !d.More() {
			break
		}
		key, index := "", elements
		if open == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return err
			}
			key, index = name.(string), -1
			names = append(names, key)
		}
		var inner json.RawMessage
		if err := d.Decode(&inner); err != nil {
			return err
		}
		if w.path[part].fits(key, index) {
			fitted = true
			end := int(d.InputOffset())
			if err := w.walk(value[end-len(inner):end], offset+end-len(inner), part+1); err != nil {
				return err
			}
		}
	}
	if !fitted && part >= w.lost {
		w.lost, w.names, w.elements = part, names, 0
		if open == json.Delim('[') {
			w.elements = elements
		}
	}
	return nil
}

// nothing is the error of a path that led to nothing.
func (w *pathWalk) nothing() error {
	lost := w.path[w.lost]
	err := errorOf(ErrNothingRedacted, "%s leads to nothing: %s has no %s", w.text, pathText(w.path[:w.lost]), lost)
	switch {
	case w.elements > 0:
		return errors.WithHintf(err, "It is a list of %d; [0] is the first, and [*] are all.", w.elements)
	case len(w.names) == 0:
		return errors.WithHint(err, "There is nothing inside of it.")
	}
	if hint := nearest.Hint(lost.key, w.names); hint != "" {
		return errors.WithHint(err, hint)
	}
	list, more := w.names, ""
	if len(list) > 12 {
		list, more = list[:12], ", …"
	}
	return errors.WithHintf(err, "It has %s%s.", strings.Join(list, ", "), more)
}

func (p pathPart) String() string {
	switch {
	case p.any:
		return "members"
	case p.index >= 0:
		return "[" + strconv.Itoa(p.index) + "]"
	}
	return strconv.Quote(p.key)
}

func pathText(path []pathPart) string {
	if len(path) == 0 {
		return "the export"
	}
	var b strings.Builder
	for _, p := range path {
		switch {
		case p.any:
			b.WriteString("[*]")
		case p.index >= 0:
			b.WriteString(p.String())
		default:
			b.WriteString("." + p.key)
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

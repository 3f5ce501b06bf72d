package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/cockroachdb/errors"
)

// literalWidth is how long a line of a literal may be, in characters.
const literalWidth = 100

// rubyLiteral writes a JSON document as a Ruby literal, which is what Ruby reads from the
// document: with every digit, and the keys in their order. Keys that look like names are
// Symbols if symbols is true. indent is what the lines after the first one begin with.
func rubyLiteral(document json.RawMessage, indent string, symbols bool) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	v, err := decodeOrdered(decoder)
	if err != nil {
		return "", errors.Wrap(err, "writing a document as Ruby")
	}
	return literal{symbols}.write(v, indent, 0), nil
}

// member is one of an object's. A decoded value is nil, a bool, a string, a json.Number,
// a []any or a []member.
type member struct {
	key   string
	value any
}

func decodeOrdered(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeOrdered(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		object := []member{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeOrdered(d)
			if err != nil {
				return nil, err
			}
			name := key.(string) // the decoder has checked it
			if i := slices.IndexFunc(object, func(m member) bool { return m.key == name }); i >= 0 {
				object[i].value = v // as Ruby reads it
			} else {
				object = append(object, member{name, v})
			}
		}
		_, err = d.Token()
		return object, err
	default:
		return token, nil
	}
}

type literal struct{ symbols bool }

// write returns the value on one line if it fits behind the first used characters of the
// line, and otherwise on several.
func (l literal) write(v any, indent string, used int) string {
	if one := l.line(v); len(indent)+used+len(one) <= literalWidth {
		return one
	}
	var parts []string
	opening, closing := "[", "]"
	inner := indent + "  "
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			parts = append(parts, inner+l.write(element, inner, 1))
		}
	case []member:
		opening, closing = "{", "}"
		for _, m := range v {
			key := l.key(m.key)
			parts = append(parts, inner+key+l.write(m.value, inner, len(key)+1))
		}
	default:
		return l.line(v)
	}
	return opening + "\n" + strings.Join(parts, ",\n") + "\n" + indent + closing
}

// line returns the value on one line.
func (l literal) line(v any) string {
	var parts []string
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			parts = append(parts, l.line(element))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []member:
		if len(v) == 0 {
			return "{}"
		}
		for _, m := range v {
			parts = append(parts, l.key(m.key)+l.line(m.value))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case json.Number:
		return rubyNumber(v.String())
	case string:
		return rubyString(v)
	case bool:
		return strconv.FormatBool(v)
	default:
		return "nil"
	}
}

// plainKey matches the keys that are Symbols without quotes.
var plainKey = regexp.MustCompile(`^[a-z_][A-Za-z0-9_]*$`)

func (l literal) key(name string) string {
	if l.symbols && plainKey.MatchString(name) {
		return name + ": "
	}
	return rubyString(name) + " => "
}

// rubyNumber writes a number of JSON. A Float of Ruby's ends where those of IEEE 754 do.
func rubyNumber(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	if f, err := strconv.ParseFloat(text, 64); err != nil || math.IsInf(f, 0) {
		return "BigDecimal(" + rubyString(text) + ")"
	}
	return text
}

// rubyString writes a text with double quotes.
func rubyString(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '#' && strings.ContainsAny(text[i+1:min(i+2, len(text))], "{$@"):
			b.WriteString(`\#`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == unicode.ReplacementChar || !unicode.IsPrint(r):
			b.WriteString(`\u{` + strconv.FormatInt(int64(r), 16) + "}")
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

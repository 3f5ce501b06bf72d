package tree

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep a document may nest. The readers and the validator
// recurse. Documents written by people nest far less.
const MaxDepth = 1000

// ParseJSON reads one JSON document. It also refuses what the grammar of JSON
// allows but a task cannot use: duplicate keys, text that is not valid UTF-8,
// NUL and half of a surrogate pair (no database stores them), numbers that are
// too long, and nesting beyond [MaxDepth]. A non-nil error is of type [Errors],
// and the node may then be nil.
func ParseJSON(data []byte) (*Node, error) {
	r := &jsonReader{data: data, line: 1}
	r.skipSpace()
	node := r.value(0)
	if !r.stopped {
		r.skipSpace()
		if r.pos < len(r.data) {
			r.stop("there is more text after the end of the value: %s", r.peek())
		}
	}
	if len(r.errs) > 0 {
		return node, r.errs
	}
	return node, nil
}

type jsonReader struct {
	data      []byte
	pos       int
	line      int
	lineStart int
	// counted is the place up to which the runes of the line have been counted.
	// Without it, the cost of one long line is the square of its length.
	counted, runes int
	errs           Errors
	// stopped is set by a fault of grammar. The text after it is not read.
	stopped bool
}

func (r *jsonReader) column() int {
	pos := min(r.pos, len(r.data))
	if r.counted < r.lineStart || r.counted > pos {
		r.counted, r.runes = r.lineStart, 0
	}
	r.runes += utf8.RuneCount(r.data[r.counted:pos])
	r.counted = pos
	return r.runes + 1
}

// fault records a fault after which reading can go on.
func (r *jsonReader) fault(line, column int, format string, args ...any) {
	const most = 100
	if len(r.errs) < most {
		r.errs.add(line, column, "", format, args...)
	}
}

func (r *jsonReader) stop(format string, args ...any) *Node {
	if !r.stopped {
		r.errs.add(r.line, r.column(), "", format, args...)
	}
	r.stopped = true
	return nil
}

// peek describes the text at the reader's place.
func (r *jsonReader) peek() string {
	if r.pos >= len(r.data) {
		return "the end of the text"
	}
	c, _ := utf8.DecodeRune(r.data[r.pos:])
	switch { // QuoteRune would escape these two
	case c == '\'':
		return `"'"`
	case c == '\\':
		return `'\'`
	}
	return strconv.QuoteRune(c)
}

func (r *jsonReader) skipSpace() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case '\n':
			r.line++
			r.lineStart = r.pos + 1
		case ' ', '\t', '\r':
		default:
			return
		}
		r.pos++
	}
}

func (r *jsonReader) value(depth int) *Node {
	if depth > MaxDepth {
		return r.stop("the values nest deeper than %d levels", MaxDepth)
	}
	if r.pos >= len(r.data) {
		return r.stop("a value is missing")
	}
	node := &Node{Line: r.line, Column: r.column()}
	switch c := r.data[r.pos]; {
	case c == '{':
		return r.object(node, depth)
	case c == '[':
		return r.array(node, depth)
	case c == '"':
		node.Kind = String
		node.Text = r.text()
		node.Source = node.Text
		return node
	case c == '-' || c >= '0' && c <= '9':
		return r.number(node)
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(r.data[r.pos:], []byte(word)) {
			r.pos += len(word)
			node.Kind, node.Text, node.Source = Bool, word, word
			if word == "null" {
				node.Kind = Null
			}
			return node
		}
	}
	return r.stop("a value cannot begin with %s", r.peek())
}

func (r *jsonReader) object(node *Node, depth int) *Node {
	node.Kind = Object
	r.pos++
	first := make(map[string]int)
	for r.skipSpace(); !r.take('}'); r.skipSpace() {
		if len(node.Members) > 0 {
			if !r.take(',') {
				return r.stop("expected ',' or '}' after a member of an object, found %s", r.peek())
			}
			r.skipSpace()
		}
		if r.pos >= len(r.data) || r.data[r.pos] != '"' {
			return r.stop("expected a key in double quotes, found %s", r.peek())
		}
		m := Member{Line: r.line, Column: r.column()}
		m.Key = r.text()
		if line, dup := first[m.Key]; dup && !r.stopped {
			r.fault(m.Line, m.Column, "the key %q is given twice, first at line %d", Shorten(m.Key), line)
		}
		first[m.Key] = m.Line
		r.skipSpace()
		if !r.stopped && !r.take(':') {
			return r.stop("expected ':' after the key %q, found %s", Shorten(m.Key), r.peek())
		}
		r.skipSpace()
		if !r.stopped {
			m.Value = r.value(depth + 1)
		}
		if r.stopped {
			return nil
		}
		node.Members = append(node.Members, m)
	}
	return node
}

func (r *jsonReader) array(node *Node, depth int) *Node {
	node.Kind = Array
	r.pos++
	for r.skipSpace(); !r.take(']'); r.skipSpace() {
		if len(node.Items) > 0 {
			if !r.take(',') {
				return r.stop("expected ',' or ']' after an item of an array, found %s", r.peek())
			}
			r.skipSpace()
		}
		item := r.value(depth + 1)
		if r.stopped {
			return nil
		}
		node.Items = append(node.Items, item)
	}
	return node
}

func (r *jsonReader) take(c byte) bool {
	if r.pos < len(r.data) && r.data[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

func (r *jsonReader) digits() bool {
	start := r.pos
	for r.pos < len(r.data) && r.data[r.pos] >= '0' && r.data[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > start
}

func (r *jsonReader) number(node *Node) *Node {
	start := r.pos
	r.take('-')
	if !r.take('0') && !r.digits() {
		return r.stop("a number needs a digit, found %s", r.peek())
	}
	if r.pos < len(r.data) && r.data[r.pos] >= '0' && r.data[r.pos] <= '9' {
		return r.stop("a number cannot begin with 0: write it without, or in quotes")
	}
	if r.take('.') && !r.digits() {
		return r.stop("a number needs a digit after its point, found %s", r.peek())
	}
	if r.take('e') || r.take('E') {
		_ = r.take('+') || r.take('-')
		if !r.digits() {
			return r.stop("a number needs a digit in its exponent, found %s", r.peek())
		}
	}
	node.Text = string(r.data[start:r.pos])
	node.Source = node.Text
	node.Kind = numberKind(node.Text)
	if why := checkNumber(node.Text); why != "" {
		r.fault(node.Line, node.Column, "%s", why)
	}
	return node
}

// text reads a string from its opening quote to its closing one.
func (r *jsonReader) text() string {
	line, column := r.line, r.column()
	r.pos++
	var out []byte
	for {
		if r.pos >= len(r.data) {
			r.stop("a text that begins at %d:%d has no closing quote", line, column)
			return ""
		}
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return string(out)
		case c == '\\':
			ch, why := r.escape()
			if r.stopped {
				return ""
			}
			if why != "" {
				r.fault(line, column, "%s", why)
			}
			out = utf8.AppendRune(out, ch)
		case c < 0x20:
			r.stop("a text cannot hold the control character %#02x as it is; write it as \\u%04x", c, c)
			return ""
		default:
			ch, size := utf8.DecodeRune(r.data[r.pos:])
			if ch == utf8.RuneError && size == 1 {
				r.stop("the byte %#02x is not valid UTF-8", c)
				return ""
			}
			out = append(out, r.data[r.pos:r.pos+size]...)
			r.pos += size
		}
	}
}

var simpleEscapes = map[byte]rune{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// escape reads one escape sequence. why is set for a character that is written
// correctly but cannot be stored.
func (r *jsonReader) escape() (ch rune, why string) {
	r.pos++
	if r.pos >= len(r.data) {
		r.stop("the text ends in a backslash")
		return 0, ""
	}
	c := r.data[r.pos]
	if simple, ok := simpleEscapes[c]; ok {
		r.pos++
		return simple, ""
	}
	if c != 'u' {
		r.stop("there is no escape \\%c", r.data[r.pos])
		return 0, ""
	}
	ch = r.hex()
	switch {
	case r.stopped:
		return 0, ""
	case ch == 0:
		return ch, "a text cannot hold the NUL character \\u0000: PostgreSQL cannot store it"
	case !utf16.IsSurrogate(ch):
		return ch, ""
	}
	if bytes.HasPrefix(r.data[r.pos:], []byte(`\u`)) {
		before := r.pos
		r.pos++
		low := r.hex()
		if r.stopped {
			return 0, ""
		}
		if pair := utf16.DecodeRune(ch, low); pair != utf8.RuneError {
			return pair, ""
		}
		r.pos = before
	}
	return utf8.RuneError, fmt.Sprintf("\\u%04x is half of a surrogate pair and no character", ch)
}

// hex reads the u and four digits of an escape.
func (r *jsonReader) hex() rune {
	r.pos++
	if r.pos+4 > len(r.data) {
		r.stop("an escape \\u needs four hexadecimal digits")
		return 0
	}
	n, err := strconv.ParseUint(string(r.data[r.pos:r.pos+4]), 16, 32)
	if err != nil {
		r.stop("an escape \\u needs four hexadecimal digits, found %q", r.data[r.pos:r.pos+4])
		return 0
	}
	r.pos += 4
	return rune(n)
}

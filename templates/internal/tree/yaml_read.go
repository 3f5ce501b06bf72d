package tree

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const (
	// maxValues limits a document after its aliases are expanded. Otherwise nine
	// lines of aliases of aliases could fill the memory.
	maxValues = 200_000
	maxBytes  = 4 << 20
)

// ParseYAML reads one YAML document. Anchors, aliases and merge keys are
// expanded. The node of an empty document is nil. A non-nil error is of type
// [Errors]. The node is then nil after a syntax fault, or if there are too many values;
// after other faults it holds the part that could be read.
func ParseYAML(data []byte) (*Node, error) {
	if len(data) > maxBytes {
		return nil, Errors{{
			Line: 1, Column: 1,
			Message: fmt.Sprintf("the file has %d bytes, the limit is %d", len(data), maxBytes),
			Hint:    "Keep data out of templates; pass it in the task's context.",
		}}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	document, err := decode(decoder)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, Errors{syntaxError(data, err)}
	}
	second, err := decode(decoder)
	switch {
	case err == nil:
		return nil, Errors{{
			Line: second.Line, Column: second.Column,
			Message: "the file holds a second YAML document",
			Hint:    "Write one template a file: remove the line --- or move what follows it.",
		}}
	case !errors.Is(err, io.EOF):
		return nil, Errors{syntaxError(data, err)}
	}
	c := &converter{open: make(map[*yaml.Node]bool)}
	root := c.node(document.Content[0], 0)
	if c.tooMuch || root.Kind == Null && document.Content[0].Value == "" {
		root = nil // most of the document was not read
	}
	if len(c.errs) > 0 {
		slices.SortStableFunc(c.errs, func(a, b Error) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return root, c.errs
	}
	return root, nil
}

// decode reads the next document. The parser panics on some malformed input;
// decode reports that as a fault of the input.
func decode(decoder *yaml.Decoder) (document *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: the parser failed: %v", p)
		}
	}()
	document = new(yaml.Node)
	err = decoder.Decode(document)
	return document, err
}

var yamlErrorPattern = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// syntaxError adds a place to the parser's message. The parser often gives the
// line where the enclosing block began, or no line.
func syntaxError(data []byte, err error) Error {
	if fault, is := notUTF8(data); is {
		return fault
	}
	message := err.Error()
	if m := yamlErrorPattern.FindStringSubmatch(message); m != nil {
		message = m[2]
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	at := brokenLine(data, lines)
	line := strings.TrimRight(string(lines[at]), "\r\n")
	content := strings.TrimLeftFunc(line, unicode.IsSpace)
	indent := line[:len(line)-len(content)]
	fault := Error{
		Line: at + 1, Column: len([]rune(indent)) + 1,
		Message: "this is not valid YAML: " + message,
		Hint:    "Check the indentation, the quotes and the brackets of this line and the one before it.",
	}
	switch {
	case strings.Contains(indent, "\t"):
		fault.Column = len([]rune(indent[:strings.Index(indent, "\t")])) + 1
		fault.Hint = "Indent with spaces: YAML does not allow tabs."
	case strings.Contains(message, "mapping values are not allowed"):
		fault.Hint = "Put a value that holds ': ' in quotes, and check the indentation."
	case strings.Contains(message, "cannot start any token"):
		fault.Hint = "Put a value that begins with @, %, ` or another special character in quotes."
	case strings.Contains(message, "unknown anchor"):
		fault.Hint = "Define the anchor (&name) above the alias (*name), or put the text in quotes."
	case strings.Contains(message, "escape character"):
		fault.Hint = `Write \\ for a backslash in double quotes, or use single quotes.`
	}
	above := lines[:at]
	if strings.Contains(message, "could not find expected ':'") { // the line itself is the text
		above = lines[:at+1]
	}
	if before, column, is := lacksSpace(above); is && endsOneText.MatchString(message) {
		fault.Line, fault.Column, fault.Hint = before, column, "Write a space after this colon."
	}
	return fault
}

// notUTF8 finds the first byte that is not UTF-8. A file in UTF-16 begins with a mark, and is
// read.
func notUTF8(data []byte) (fault Error, is bool) {
	if utf8.Valid(data) || bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return Error{}, false
	}
	at := 0
	for r, size := utf8.DecodeRune(data); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(data[at:]) {
		at += size
	}
	line := data[bytes.LastIndexByte(data[:at], '\n')+1 : at]
	return Error{
		Line: bytes.Count(data[:at], []byte("\n")) + 1, Column: utf8.RuneCount(line) + 1,
		Message: fmt.Sprintf("the file is not in UTF-8: it has the byte 0x%02x here", data[at]),
		Hint:    "Save it as UTF-8.",
	}, true
}

// endsOneText matches what the parser says of a key below a line that is text, not a key: if a
// comment is between them, the second.
var endsOneText = regexp.MustCompile(`mapping values are not allowed|expected <document start>|could not find expected ':'`)

var keyWithoutSpace = regexp.MustCompile(`^\s*(?:-\s+)*[A-Za-z_]\w*:[^\s:/]`)

// lacksSpace looks whether the last line with text is a key whose value follows its colon at
// once, so that both are one text. It returns the place of the colon.
func lacksSpace(lines [][]byte) (line, column int, is bool) {
	for i := len(lines) - 1; i >= 0; i-- {
		if text := bytes.TrimSpace(lines[i]); len(text) == 0 || text[0] == '#' {
			continue
		}
		key := keyWithoutSpace.Find(lines[i])
		return i + 1, utf8.RuneCount(key) - 1, key != nil
	}
	return 0, 0, false
}

// brokenLine returns the line, counted from 0, up to which the document can be
// read. A prefix that ends inside a construct of several lines does not parse
// either, so the search goes on after each such place.
func brokenLine(data []byte, lines [][]byte) int {
	ends := make([]int, len(lines)+1)
	for i, line := range lines {
		ends[i+1] = ends[i] + len(line)
	}
	parses := func(n int) bool {
		if len(bytes.TrimSpace(data[:ends[n]])) == 0 {
			return true
		}
		decoder := yaml.NewDecoder(bytes.NewReader(data[:ends[n]]))
		for {
			if _, err := decode(decoder); err != nil {
				return errors.Is(err, io.EOF)
			}
		}
	}
	good := 0
	const rounds, lookahead = 10, 40
	for range rounds {
		bad := len(lines)
		for bad-good > 1 {
			if middle := (good + bad) / 2; parses(middle) {
				good = middle
			} else {
				bad = middle
			}
		}
		next := 0
		for n := good + 2; n <= min(good+lookahead, len(lines)-1) && next == 0; n++ {
			if parses(n) {
				next = n
			}
		}
		if next == 0 {
			break
		}
		good = next
	}
	for good < len(lines)-1 && len(bytes.TrimSpace(lines[good])) == 0 {
		good++
	}
	return min(good, len(lines)-1)
}

// converter turns yaml.v3's nodes into ours.
type converter struct {
	errs   Errors
	values int
	// open holds the nodes that are being converted. An alias to one of them is
	// a cycle.
	open    map[*yaml.Node]bool
	tooMuch bool
}

func (c *converter) fault(n *yaml.Node, hint, format string, args ...any) {
	const most = 100
	if len(c.errs) < most {
		c.errs.add(n.Line, n.Column, hint, format, args...)
	}
}

func (c *converter) node(n *yaml.Node, depth int) *Node {
	c.values++
	out := &Node{Kind: Null, Text: "null", Line: n.Line, Column: n.Column}
	switch {
	case c.tooMuch:
		return out
	case c.values > maxValues:
		c.tooMuch = true
		c.fault(n, "Write less, or use fewer aliases.", "the document holds more than %d values once its aliases are expanded", maxValues)
		return out
	case depth > MaxDepth:
		c.fault(n, "", "the values nest deeper than %d levels", MaxDepth)
		return out
	case c.open[n]:
		c.fault(n, "An anchor cannot be used inside of itself.", "the anchor &%s contains itself", n.Anchor)
		return out
	}
	c.open[n] = true
	defer delete(c.open, n)
	switch n.Kind {
	case yaml.AliasNode:
		return c.node(n.Alias, depth)
	case yaml.SequenceNode:
		out.Kind = Array
		c.tag(n, "!!seq")
		for _, item := range n.Content {
			out.Items = append(out.Items, c.node(item, depth+1))
		}
	case yaml.MappingNode:
		out.Kind = Object
		c.tag(n, "!!map")
		c.mapping(n, out, depth)
	default:
		c.scalar(n, out)
	}
	return out
}

// tag refuses an explicit tag that requires another kind of value.
func (c *converter) tag(n *yaml.Node, want string) {
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != want {
		c.fault(n, "Remove the tag.", "the tag %s has no meaning in a template", Shorten(n.Tag))
	}
}

func (c *converter) mapping(n *yaml.Node, out *Node, depth int) {
	index := make(map[string]int, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		written := key
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			c.fault(written, "Use plain text as the key.", "a key cannot be a list or a mapping")
			continue
		}
		if strings.ContainsRune(key.Value, 0) {
			c.fault(written, "Remove it.", "a key cannot hold the NUL character: PostgreSQL cannot store it")
		}
		if first, dup := index[key.Value]; dup {
			m := out.Members[first]
			c.fault(written, "Remove one of the two.", "the key %q is given twice, first at %d:%d", Shorten(key.Value), m.Line, m.Column)
			continue
		}
		index[key.Value] = len(out.Members)
		out.Members = append(out.Members, Member{
			Key: key.Value, Line: written.Line, Column: written.Column, Value: c.node(value, depth+1),
		})
	}
	for _, merge := range merges {
		c.merge(merge, out, index, depth)
	}
}

// merge adds the keys of a << key after the mapping's own keys. The mapping's own
// keys win.
func (c *converter) merge(n *yaml.Node, out *Node, index map[string]int, depth int) {
	source := c.node(n, depth+1)
	sources := []*Node{source}
	if source.Kind == Array {
		sources = source.Items
	}
	for _, s := range sources {
		if s.Kind != Object {
			c.fault(n, "Write << : *name with the anchor of a mapping.", "a merge key << needs a mapping or a list of mappings")
			return
		}
		for _, m := range s.Members {
			if _, have := index[m.Key]; !have {
				index[m.Key] = len(out.Members)
				out.Members = append(out.Members, m)
			}
		}
	}
}

func (c *converter) scalar(n *yaml.Node, out *Node) {
	out.Source = n.Value
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	tag := ""
	if n.Style&yaml.TaggedStyle != 0 {
		tag = n.ShortTag()
	}
	if tag == "!!str" || tag == "!" || tag == "" && quoted {
		out.Kind, out.Text = String, n.Value
		if strings.ContainsRune(n.Value, 0) {
			c.fault(n, "Remove it.", "a text cannot hold the NUL character: PostgreSQL cannot store it")
		}
		return
	}
	kind, text, why := resolvePlain(n.Value)
	if why != "" {
		c.fault(n, "Write a finite number, or put the text in quotes.", "%s", why)
	}
	want, known := map[string]Kind{"": kind, "!!int": Integer, "!!float": Float, "!!bool": Bool, "!!null": Null}[tag]
	switch {
	case !known:
		c.fault(n, "Remove the tag.", "the tag %s has no meaning in a template", Shorten(n.Tag))
	case kind == Integer && want == Float:
		kind = Float
	case kind != want:
		c.fault(n, "Remove the tag or correct the value.", "%q is not %s, which its tag %s says", Shorten(n.Value), want, tag)
	}
	out.Kind, out.Text = kind, text
}

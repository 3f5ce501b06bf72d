package tree

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kind is the JSON type of a [Node]. JSON has one type for all numbers; Kind has
// two.
type Kind int

// The kinds of nodes. An integer is a number written without a fraction and
// without an exponent.
const (
	Null Kind = iota
	Bool
	Integer
	Float
	String
	Array
	Object
)

// String returns the name of the kind for a message.
func (k Kind) String() string {
	switch k {
	case Null:
		return "nothing"
	case Bool:
		return "true or false"
	case Integer:
		return "an integer"
	case Float:
		return "a number"
	case String:
		return "text"
	case Array:
		return "a list"
	default:
		return "a mapping"
	}
}

// Node is one value of a document.
type Node struct {
	Kind Kind
	// Text is the content of a string, the JSON text of a number or a Boolean.
	Text string
	// Source is the scalar's text in the file, without quotes. It differs from
	// Text for numbers such as 0x1F and Booleans such as yes.
	Source  string
	Items   []*Node
	Members []Member
	// Line and Column count from 1. They are 0 in a node that the program made.
	Line, Column int
}

// Member is one key of an object with its value.
type Member struct {
	Key string
	// Line and Column are the place of the key.
	Line, Column int
	Value        *Node
}

// Get returns the member of that key, or nil.
func (n *Node) Get(key string) *Member {
	if n == nil {
		return nil
	}
	for i := range n.Members {
		if n.Members[i].Key == key {
			return &n.Members[i]
		}
	}
	return nil
}

// Describe names the node for a message: "text", "the integer 5".
func (n *Node) Describe() string {
	switch n.Kind {
	case Bool, Integer, Float:
		return "the value " + Shorten(n.Source)
	case String:
		return fmt.Sprintf("the text %q", Shorten(n.Text))
	default:
		return n.Kind.String()
	}
}

// Shorten cuts a text that would make a message unreadable.
func Shorten(s string) string {
	const most = 60
	runes := 0
	for i := range s {
		if runes == most {
			return s[:i] + "…"
		}
		runes++
	}
	return s
}

// At follows path, a list of keys and array indexes, as far as it exists. It
// returns the place of the last value found. For a member this is the place of
// its key.
func (n *Node) At(path []string) (line, column int) {
	line, column = n.Line, n.Column
	for _, token := range path {
		if n.Kind == Array {
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(n.Items) {
				return line, column
			}
			n = n.Items[i]
			line, column = n.Line, n.Column
			continue
		}
		m := n.Get(token)
		if m == nil {
			return line, column
		}
		n, line, column = m.Value, m.Line, m.Column
	}
	return line, column
}

// Has reports whether path leads to a value.
func (n *Node) Has(path []string) bool {
	for _, token := range path {
		if n.Kind == Array {
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(n.Items) {
				return false
			}
			n = n.Items[i]
			continue
		}
		m := n.Get(token)
		if m == nil {
			return false
		}
		n = m.Value
	}
	return true
}

// Plain converts the node to the types that encoding/json decodes into, with
// numbers as [json.Number].
func (n *Node) Plain() any {
	switch n.Kind {
	case Null:
		return nil
	case Bool:
		return n.Text == "true"
	case Integer, Float:
		return json.Number(n.Text)
	case String:
		return n.Text
	case Array:
		items := make([]any, len(n.Items))
		for i, item := range n.Items {
			items[i] = item.Plain()
		}
		return items
	default:
		members := make(map[string]any, len(n.Members))
		for _, m := range n.Members {
			members[m.Key] = m.Value.Plain()
		}
		return members
	}
}

// FromPlain is the inverse of [Node.Plain]. It sorts the keys. It panics on a
// type that Plain does not produce.
func FromPlain(value any) *Node {
	switch v := value.(type) {
	case nil:
		return &Node{Kind: Null, Source: "null"}
	case bool:
		text := fmt.Sprint(v)
		return &Node{Kind: Bool, Text: text, Source: text}
	case json.Number:
		return &Node{Kind: numberKind(string(v)), Text: string(v), Source: string(v)}
	case string:
		return &Node{Kind: String, Text: v, Source: v}
	case []any:
		n := &Node{Kind: Array, Items: make([]*Node, len(v))}
		for i, item := range v {
			n.Items[i] = FromPlain(item)
		}
		return n
	case map[string]any:
		n := &Node{Kind: Object, Members: make([]Member, 0, len(v))}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n.Members = append(n.Members, Member{Key: key, Value: FromPlain(v[key])})
		}
		return n
	default:
		panic(fmt.Sprintf("tree: no node for %T", value))
	}
}

func numberKind(text string) Kind {
	if strings.ContainsAny(text, ".eE") {
		return Float
	}
	return Integer
}

// Sorted returns a copy of the node with the keys of every object in byte
// order.
func (n *Node) Sorted() *Node {
	c := *n
	c.Items = make([]*Node, len(n.Items))
	for i, item := range n.Items {
		c.Items[i] = item.Sorted()
	}
	c.Members = slices.Clone(n.Members)
	for i := range c.Members {
		c.Members[i].Value = c.Members[i].Value.Sorted()
	}
	slices.SortStableFunc(c.Members, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
	return &c
}

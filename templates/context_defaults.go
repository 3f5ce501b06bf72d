package templates

import (
	"errors"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// maxFilled bounds how many defaults one context may receive: a schema that
// refers to itself through a default never ends.
const maxFilled = 10_000

var errEndlessDefaults = errors.New("the defaults of the schema do not come to an end")

// filler puts the defaults of a schema into a context. What is conditional
// (anyOf, oneOf, if, dependentSchemas, not) gives no defaults: which branch
// holds may depend on the value that would be filled in.
type filler struct {
	filled int
	// active are the schemas being applied to the value at hand; a $ref may
	// lead back to one of them.
	active map[fillKey]bool
}

type fillKey struct {
	node   *tree.Node
	schema *jsonschema.Schema
}

// fill returns the context with defaults. The node is changed in place.
func (s *contextSchema) fill(n *tree.Node) (*tree.Node, error) {
	f := &filler{active: make(map[fillKey]bool)}
	f.value(n, s.compiled)
	if f.filled > maxFilled {
		return n, errEndlessDefaults
	}
	return n, nil
}

func (f *filler) value(n *tree.Node, s *jsonschema.Schema) {
	key := fillKey{n, s}
	if s == nil || f.active[key] || f.filled > maxFilled {
		return
	}
	f.active[key] = true
	defer delete(f.active, key)
	switch n.Kind {
	case tree.Object:
		f.object(n, s)
	case tree.Array:
		f.array(n, s)
	}
	f.value(n, s.Ref)
	for _, part := range s.AllOf {
		f.value(n, part)
	}
}

func (f *filler) object(n *tree.Node, s *jsonschema.Schema) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		m := n.Get(name)
		if m == nil {
			owner := defaultOf(property, 0)
			if owner == nil {
				continue
			}
			f.filled++
			n.Members = append(n.Members, tree.Member{Key: name, Value: tree.FromPlain(*owner.Default)})
			m = &n.Members[len(n.Members)-1]
		}
		f.value(m.Value, property)
	}
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	if additional == nil && len(s.PatternProperties) == 0 {
		return
	}
	for _, m := range slices.Clone(n.Members) {
		_, named := s.Properties[m.Key]
		for pattern, property := range s.PatternProperties {
			if pattern.MatchString(m.Key) {
				named = true
				f.value(m.Value, property)
			}
		}
		if !named {
			f.value(m.Value, additional)
		}
	}
}

// array fills the items. Drafts before 2020-12 spell a tuple as a list under
// items with additionalItems behind it, newer ones as prefixItems and items.
func (f *filler) array(n *tree.Node, s *jsonschema.Schema) {
	tuple, rest := s.PrefixItems, s.Items2020
	switch items := s.Items.(type) {
	case *jsonschema.Schema:
		rest = items
	case []*jsonschema.Schema:
		tuple = items
		rest, _ = s.AdditionalItems.(*jsonschema.Schema)
	}
	for i, item := range n.Items {
		if i < len(tuple) {
			f.value(item, tuple[i])
		} else {
			f.value(item, rest)
		}
	}
}

// defaultOf finds the schema that gives a property its default: its own, or that
// of what it refers to, or that of the first part of its allOf that has one.
func defaultOf(s *jsonschema.Schema, depth int) *jsonschema.Schema {
	const deepest = 50 // references may form a circle
	if s == nil || depth > deepest {
		return nil
	}
	if s.Default != nil {
		return s
	}
	if found := defaultOf(s.Ref, depth+1); found != nil {
		return found
	}
	for _, part := range s.AllOf {
		if found := defaultOf(part, depth+1); found != nil {
			return found
		}
	}
	return nil
}

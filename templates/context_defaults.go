package templates

import (
	"errors"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// maxFilledDefaults limits how many defaults one context may receive. A schema
// that refers to itself through a default would never end.
const maxFilledDefaults = 10_000

var errEndlessDefaults = errors.New("the defaults of the schema never end")

// defaultFiller puts the defaults of a schema into a context. It ignores the
// conditional parts of the schema (anyOf, oneOf, if, dependentSchemas, not):
// which branch holds may depend on the value that would be filled in.
type defaultFiller struct {
	filled int
	// active holds the schemas that are being applied to a value. A $ref may
	// lead back to one of them.
	active map[fillKey]bool
}

type fillKey struct {
	node   *tree.Node
	schema *jsonschema.Schema
}

// fill returns the context with the defaults filled in. It changes the node in
// place.
func (s *contextSchema) fill(n *tree.Node) (*tree.Node, error) {
	f := &defaultFiller{active: make(map[fillKey]bool)}
	f.value(n, s.compiled)
	if f.filled > maxFilledDefaults {
		return n, errEndlessDefaults
	}
	return n, nil
}

func (f *defaultFiller) value(n *tree.Node, s *jsonschema.Schema) {
	key := fillKey{n, s}
	if s == nil || f.active[key] || f.filled > maxFilledDefaults {
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

func (f *defaultFiller) object(n *tree.Node, s *jsonschema.Schema) {
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

// array fills the items of a list. Drafts before 2020-12 write a tuple as a
// list under items, and its rest as additionalItems. Newer drafts write it as
// prefixItems and items.
func (f *defaultFiller) array(n *tree.Node, s *jsonschema.Schema) {
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

// defaultOf finds the schema that sets the default of a property. It is the
// property's own schema, the schema it refers to, or the first part of its
// allOf that has a default.
func defaultOf(s *jsonschema.Schema, depth int) *jsonschema.Schema {
	const deepest = 50 // references may form a cycle
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

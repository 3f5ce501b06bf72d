package templates

import (
	"errors"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// defaultHint is for a default that would be refused as soon as it is filled in.
const defaultHint = "Correct the default, or what the schema says of it; a property that may be left out needs none."

// defaultFaults finds the defaults that do not fit the schema that they are of.
// Every context that leaves such a property out would be refused. Looked at is
// what a filler fills in, and nothing else.
func (s *contextSchema) defaultFaults() []schemaFault {
	check := defaultCheck{seen: make(map[*jsonschema.Schema]bool), told: make(map[string]bool)}
	check.schema(s.compiled)
	return check.faults
}

type defaultCheck struct {
	seen   map[*jsonschema.Schema]bool
	told   map[string]bool // by the place of the default
	faults []schemaFault
}

func (c *defaultCheck) schema(s *jsonschema.Schema) {
	if s == nil || c.seen[s] {
		return
	}
	c.seen[s] = true
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		c.property(s.Properties[name])
		c.schema(s.Properties[name])
	}
	c.schema(s.Ref)
	for _, part := range slices.Concat(s.AllOf, s.PrefixItems) {
		c.schema(part)
	}
	for _, part := range s.PatternProperties {
		c.schema(part)
	}
	c.schema(s.Items2020)
	for _, part := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch part := part.(type) {
		case *jsonschema.Schema:
			c.schema(part)
		case []*jsonschema.Schema:
			for _, item := range part {
				c.schema(item)
			}
		}
	}
}

// property checks the default that a property has, of its own or of what it
// refers to.
func (c *defaultCheck) property(s *jsonschema.Schema) {
	owner := defaultOf(s, 0)
	if owner == nil || c.told[owner.Location] {
		return
	}
	written := tree.FromPlain(*owner.Default)
	filled := tree.FromPlain(*owner.Default)
	f := filler{active: make(map[fillKey]bool)}
	f.value(filled, s)
	err := s.Validate(filled.Plain())
	var detail *jsonschema.ValidationError
	if !errors.As(err, &detail) {
		return
	}
	path := append(fragmentPath(owner.Location), "default")
	for _, v := range flatten(detail, filled) {
		// What is wrong with a default that was filled into this one is that
		// one's fault. A key that is missing is this one's.
		if !written.Has(v.location) && (filled.Has(v.location) || !written.Has(v.location[:max(len(v.location)-1, 0)])) {
			continue
		}
		c.told[owner.Location] = true
		c.faults = append(c.faults, schemaFault{path: append(slices.Clone(path), v.location...), message: v.Message, hint: defaultHint})
	}
}

package templates

import (
	"errors"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// defaultHint is the hint for a default that its own schema refuses.
const defaultHint = "Correct the default, or the schema of its property; a property that may be left out needs no default."

// faultyDefaults finds the defaults that do not fit their own schema. With such
// a default, every context that leaves the property out would be refused. Only
// the defaults that a defaultFiller uses are checked.
func (s *contextSchema) faultyDefaults() []schemaFault {
	check := defaultCheck{seen: make(map[*jsonschema.Schema]bool), reported: make(map[string]bool)}
	check.schema(s.compiled)
	return check.faults
}

type defaultCheck struct {
	seen     map[*jsonschema.Schema]bool
	reported map[string]bool // by the place of the default
	faults   []schemaFault
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

// property checks the default of a property. It may come from a schema that the
// property refers to.
func (c *defaultCheck) property(s *jsonschema.Schema) {
	owner := defaultOf(s, 0)
	if owner == nil || c.reported[owner.Location] {
		return
	}
	written := tree.FromPlain(*owner.Default)
	filled := tree.FromPlain(*owner.Default)
	f := defaultFiller{active: make(map[fillKey]bool)}
	f.value(filled, s)
	err := s.Validate(filled.Plain())
	var detail *jsonschema.ValidationError
	if !errors.As(err, &detail) {
		return
	}
	path := append(fragmentPath(owner.Location), "default")
	for _, v := range listViolations(detail, filled) {
		// A default may be filled into this default. A fault in that inner
		// default is reported there. A missing key is this default's fault.
		if !written.Has(v.location) && (filled.Has(v.location) || !written.Has(v.location[:max(len(v.location)-1, 0)])) {
			continue
		}
		c.reported[owner.Location] = true
		c.faults = append(c.faults, schemaFault{path: append(slices.Clone(path), v.location...), message: v.Message, hint: defaultHint})
	}
}

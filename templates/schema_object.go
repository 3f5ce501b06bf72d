package templates

import (
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// objectless finds what makes a schema refuse every object. A context is an object, so such
// a schema would refuse every task. It says nothing when it is not sure.
func (s *contextSchema) objectless() []schemaFault {
	search := objectSearch{seen: make(map[*jsonschema.Schema][][]string)}
	var faults []schemaFault
	for _, path := range search.reasons(s.compiled) {
		hint := "Correct it, so that an object fits."
		if len(path) > 0 && path[len(path)-1] == "type" {
			hint = "Write object."
		}
		faults = append(faults, schemaFault{path: path, message: "this admits no object, and a context is one: every task would be refused", hint: hint})
	}
	return faults
}

type objectSearch struct {
	// seen has the answers. References may form a cycle, and lead to a schema many times.
	seen map[*jsonschema.Schema][][]string
}

// reasons returns the paths of the keywords that each keep every object from fitting the
// schema. There may be reasons that it does not know.
func (o *objectSearch) reasons(s *jsonschema.Schema) [][]string {
	if s == nil {
		return nil
	}
	if known, is := o.seen[s]; is {
		return known
	}
	o.seen[s] = nil
	paths := ownReasons(s)
	if len(o.reasons(s.Ref)) > 0 {
		paths = append(paths, []string{"$ref"})
	}
	for i, part := range s.AllOf {
		for _, path := range o.reasons(part) {
			paths = append(paths, append([]string{"allOf", strconv.Itoa(i)}, path...))
		}
	}
	mayFit := func(part *jsonschema.Schema) bool { return len(o.reasons(part)) == 0 }
	if len(s.AnyOf) > 0 && !slices.ContainsFunc(s.AnyOf, mayFit) {
		paths = append(paths, []string{"anyOf"})
	}
	if len(s.OneOf) > 0 && !slices.ContainsFunc(s.OneOf, mayFit) {
		paths = append(paths, []string{"oneOf"})
	}
	o.seen[s] = paths
	return paths
}

// ownReasons are the reasons that need no look into the schemas inside.
func ownReasons(s *jsonschema.Schema) (paths [][]string) {
	if s.Bool != nil {
		if !*s.Bool {
			paths = append(paths, []string{})
		}
		return paths
	}
	isObject := func(value any) bool { _, is := value.(map[string]any); return is }
	for _, c := range []struct {
		key  string
		none bool
	}{
		{"type", s.Types != nil && !slices.Contains(s.Types.ToStrings(), "object")},
		{"const", s.Const != nil && !isObject(*s.Const)},
		{"enum", s.Enum != nil && !slices.ContainsFunc(s.Enum.Values, isObject)},
		{"not", s.Not != nil && s.Not.Bool != nil && *s.Not.Bool},
		{"minProperties", s.MinProperties != nil && s.MaxProperties != nil && *s.MinProperties > *s.MaxProperties},
	} {
		if c.none {
			paths = append(paths, []string{c.key})
		}
	}
	for i, name := range s.Required {
		if excludes(s, name) {
			paths = append(paths, []string{"required", strconv.Itoa(i)})
		}
	}
	return paths
}

// excludes reports whether an object that fits the schema has no member of the name.
func excludes(s *jsonschema.Schema, name string) bool {
	if property, named := s.Properties[name]; named {
		return property.Bool != nil && !*property.Bool
	}
	if allowed, is := s.AdditionalProperties.(bool); !is || allowed {
		return false
	}
	for pattern := range s.PatternProperties {
		if pattern.MatchString(name) {
			return false
		}
	}
	return true
}

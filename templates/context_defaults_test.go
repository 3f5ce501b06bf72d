package templates_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultsOfTheSchema(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, schema, input, want string }{
		{"nested", `{properties: {a: {default: {}, properties: {b: {default: [1, 2.50]}}}}}`, `{}`, `{"a":{"b":[1,2.50]}}`},
		{"given values stay", `{properties: {a: {default: 1}, b: {default: 2}}}`, `{"b":null}`, `{"b":null,"a":1}`},
		{"absent mapping stays absent", `{properties: {a: {properties: {b: {default: 1}}}}}`, `{}`, `{}`},
		{"through $ref", `{properties: {a: {$ref: "#/$defs/a"}}, $defs: {a: {default: 7}}}`, `{}`, `{"a":7}`},
		{"own before $ref", `{properties: {a: {$ref: "#/$defs/a", default: 8}}, $defs: {a: {default: 7}}}`, `{}`, `{"a":8}`},
		{"through a $ref at the top", `{$ref: "#/$defs/a", $defs: {a: {properties: {x: {default: 7}}}}}`, `{}`, `{"x":7}`},
		{"through allOf", `{allOf: [{properties: {a: {default: 1}}}, {properties: {a: {default: 2}, b: {default: 3}}}]}`, `{}`, `{"a":1,"b":3}`},
		{"allOf of a property", `{properties: {a: {allOf: [{type: integer}, {default: 5}]}}}`, `{}`, `{"a":5}`},
		{"not through anyOf", `{anyOf: [{properties: {a: {default: 1}}}]}`, `{}`, `{}`},
		{"not through oneOf", `{oneOf: [{properties: {a: {default: 1}}}]}`, `{}`, `{}`},
		{"not through if", `{if: true, then: {properties: {a: {default: 1}}}}`, `{}`, `{}`},
		{"items", `{properties: {l: {items: {properties: {n: {default: 1}}}}}}`, `{"l":[{},{"n":2},3]}`, `{"l":[{"n":1},{"n":2},3]}`},
		{"prefixItems", `{properties: {l: {prefixItems: [{properties: {n: {default: 1}}}], items: {properties: {m: {default: 2}}}}}}`,
			`{"l":[{},{}]}`, `{"l":[{"n":1},{"m":2}]}`},
		{"tuples of draft 7", `{$schema: "http://json-schema.org/draft-07/schema#", properties: {l: {items: [{properties: {n: {default: 1}}}], additionalItems: {properties: {m: {default: 2}}}}}}`,
			`{"l":[{},{}]}`, `{"l":[{"n":1},{"m":2}]}`},
		{"additionalProperties", `{additionalProperties: {properties: {n: {default: 1}}}}`, `{"x":{}}`, `{"x":{"n":1}}`},
		{"patternProperties", `{patternProperties: {"^x": {properties: {n: {default: 1}}}}}`, `{"x":{},"y":{}}`, `{"x":{"n":1},"y":{}}`},
		{"recursive", `{properties: {child: {$ref: "#"}, n: {default: 0}}}`, `{"child":{"child":{}}}`, `{"child":{"child":{"n":0},"n":0},"n":0}`},
		{"a circle of references", `{properties: {a: {$ref: "#/$defs/a"}}, $defs: {a: {$ref: "#/$defs/b"}, b: {$ref: "#/$defs/a"}}}`, `{}`, `{}`},
		{"required by default", `{required: [a], properties: {a: {default: 1}}}`, `{}`, `{"a":1}`},
		{"huge numbers", `{properties: {a: {default: 115792089237316195423570985008687907853269984665640564039457584007913129639936}}}`, `{}`,
			`{"a":115792089237316195423570985008687907853269984665640564039457584007913129639936}`},
		{"draft 4 without its name", `{properties: {a: {minimum: 0, exclusiveMinimum: true, default: 1}}}`, `{}`, `{"a":1}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			filled, err := withSchema(t, tc.schema).ValidateContext([]byte(tc.input))
			require.NoError(t, err)
			require.Equal(t, tc.want, string(filled))
		})
	}
}

func TestEndlessDefaultsBehindGivenValues(t *testing.T) {
	t.Parallel()
	tmpl := withSchema(t, `{properties: {l: {items: {$ref: "#/$defs/n"}}}, $defs: {n: {properties: {a: {$ref: "#/$defs/n", default: {}}, b: {$ref: "#/$defs/n", default: {}}}}}}`)
	_, err := tmpl.ValidateContext([]byte(`{"l": [{}]}`))
	require.Equal(t, []string{"context cannot be completed: the defaults of the schema never end"}, violations(t, err))
}

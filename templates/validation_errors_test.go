package templates_test

import (
	"encoding/json"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestViolations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		schema, input string
		want          []string
	}{
		{`{properties: {a: {type: string}}}`, `{"a":1}`, []string{"context.a must be a string, got a number"}},
		{`{properties: {a: {type: [integer, "null"]}}}`, `{"a":1.5}`, []string{"context.a must be null or an integer, got a number"}},
		{`{required: [a, b-c, "d e"]}`, `{}`, []string{"context.a is required", "context.b-c is required", `context["d e"] is required`}},
		{`{properties: {a: {enum: [x, 1, null]}}}`, `{"a":"y"}`, []string{`context.a must be one of "x", 1, null, got "y"`}},
		{`{properties: {a: {const: {b: 1}}}}`, `{"a":[2]}`, []string{`context.a must be {"b":1}, got [2]`}},
		{`{properties: {a: {minimum: 0.1}}}`, `{"a":0.0999999999999999999999}`, []string{"context.a must be at least 0.1, got 0.0999999999999999999999"}},
		{`{properties: {a: {maximum: 5}}}`, `{"a":1606938044258990275541962092341162602522202993782792835301376}`,
			[]string{"context.a must be at most 5, got 160693804425899027554196209234116260252220299378279283530137…"}},
		{`{properties: {a: {exclusiveMinimum: 0}, b: {exclusiveMaximum: 1}, c: {multipleOf: 0.05}}}`, `{"a":0,"b":1,"c":0.07}`,
			[]string{"context.a must be more than 0, got 0", "context.b must be less than 1, got 1", "context.c must be a multiple of 0.05, got 0.07"}},
		{`{properties: {a: {minLength: 2}, b: {maxLength: 1}}}`, `{"a":"é","b":"ab"}`,
			[]string{"context.a must have at least 2 characters, got 1", "context.b must have at most 1 character, got 2"}},
		{`{properties: {a: {minItems: 1}, b: {maxItems: 1, uniqueItems: true}}}`, `{"a":[],"b":[1,1.0]}`,
			[]string{"context.a must have at least 1 item, got 0", "context.b must have at most 1 item, got 2", "context.b must have no equal items, but items 0 and 1 are equal"}},
		{`{minProperties: 2}`, `{"a":1}`, []string{"context must have at least 2 keys, got 1"}},
		{`{maxProperties: 0}`, `{"a":1}`, []string{"context must have at most 0 keys, got 1"}},
		{`{properties: {a: {format: email}, b: {format: date}}}`, `{"a":"x","b":"2024-02-30"}`,
			[]string{`context.a must be a valid email, got "x"`, `context.b must be a valid date, got "2024-02-30"`}},
		{`{properties: {a: {pattern: "^x+$"}}}`, `{"a":"y"}`, []string{`context.a must match the pattern ^x+$, got "y"`}},
		{`{additionalProperties: false}`, `{"a":1,"b":2}`, []string{"context.a is not allowed: there is no such key", "context.b is not allowed: there is no such key"}},
		{`{properties: {a: false}}`, `{"a":1}`, []string{"context.a is not allowed"}},
		{`{propertyNames: {maxLength: 1}}`, `{"ab":1}`, []string{"context.ab has a key that is not allowed (must have at most 1 character, got 2)"}},
		{`{properties: {a: {not: {type: string}}}}`, `{"a":"x"}`, []string{"context.a is of a form that is not allowed"}},
		{`{properties: {a: {contains: {type: string}}}}`, `{"a":[1]}`, []string{"context.a has no item of the kind that it must contain"}},
		{`{properties: {a: {prefixItems: [true], items: false}}}`, `{"a":[1,2]}`, []string{"context.a[1] is not allowed"}},
		{`{dependentRequired: {a: [b]}}`, `{"a":1}`, []string{`context.b is required when "a" is given`}},
		{`{properties: {a: {anyOf: [{type: string}, {type: object, required: [x]}]}}}`, `{"a":{}}`, []string{"context.a fits none of the allowed forms (x is required)"}},
		{`{properties: {a: {oneOf: [{type: integer}, {minimum: 3}]}}}`, `{"a":5}`, []string{"context.a fits more than one of the allowed forms (numbers 1 and 2); it must fit exactly one"}},
		{`{properties: {a: {oneOf: [{type: integer}, {type: "null"}]}}}`, `{"a":"x"}`, []string{"context.a fits none of the allowed forms (must be an integer, got a string; must be null, got a string)"}},
		{`{properties: {l: {items: {properties: {m: {items: {type: integer}}}}}}}`, `{"l":[{},{"m":[1,"x"]},{"m":["y"]}]}`,
			[]string{"context.l[1].m[1] must be an integer, got a string", "context.l[2].m[0] must be an integer, got a string"}},
		{`{$ref: "#"}`, `{}`, []string{"context cannot be checked: the schema refers to itself without end"}},
	} {
		_, err := withSchema(t, tc.schema).ValidateContext([]byte(tc.input))
		require.Equal(t, tc.want, violations(t, err), "%s %s", tc.schema, tc.input)
	}
}

func TestListOfViolationsEnds(t *testing.T) {
	t.Parallel()
	tmpl := withSchema(t, `{additionalProperties: {type: string}}`)
	object := make(map[string]int)
	for i := range 20_000 {
		object["k"+big.NewInt(int64(i)).String()] = i
	}
	input, err := json.Marshal(object)
	require.NoError(t, err)
	_, err = tmpl.ValidateContext(input)
	list := violations(t, err)
	require.Len(t, list, 101)
	require.Equal(t, "context has 19900 more faults, which are not shown", list[100])
}

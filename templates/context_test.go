package templates_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// withSchema makes a template whose schema is the given JSON, which is YAML too.
func withSchema(t testing.TB, schema string) *templates.Template {
	t.Helper()
	return parse(t, "name: x\nschema: "+schema+"\n"+steps)
}

func violations(t testing.TB, err error) []string {
	t.Helper()
	var bad *templates.ContextError
	require.ErrorAs(t, err, &bad)
	var list []string
	for _, v := range bad.Violations {
		list = append(list, v.String())
	}
	return list
}

func TestContextIsKeptExactly(t *testing.T) {
	t.Parallel()
	huge := new(big.Int).Lsh(big.NewInt(1), 200).String()
	input := `{ "n": ` + huge + `, "f": 0.1, "g": 1.10, "e": 1E+2, "z": -0,
		"text": "a\"b\\c\/\u00e9\ud83d\ude00<&>\u2028\n", "list": [ 1, [], {} , null, true ], "": 1 }`
	want := `{"n":` + huge + `,"f":0.1,"g":1.10,"e":1E+2,"z":-0,` +
		`"text":"a\"b\\c/é😀<&>` + "\u2028" + `\n","list":[1,[],{},null,true],"":1}`
	for _, tmpl := range []*templates.Template{
		parse(t, "name: x\n"+steps),
		withSchema(t, `{properties: {n: {type: integer, minimum: 1}, f: {maximum: 0.1}, e: {type: integer}}}`),
	} {
		filled, err := tmpl.ValidateContext([]byte(input))
		require.NoError(t, err)
		require.Equal(t, want, string(filled))
	}
}

func TestContextThatIsNoObject(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "name: x\n"+steps)
	for input, want := range map[string]string{
		"":                      "context is empty; it must be a JSON object, at least {}",
		" \n":                   "context is empty; it must be a JSON object, at least {}",
		"null":                  "context must be a JSON object, got null",
		"[1]":                   "context must be a JSON object, got an array",
		`"x"`:                   "context must be a JSON object, got a string",
		"5":                     "context must be a JSON object, got a number",
		"true":                  "context must be a JSON object, got a boolean",
		"{a: 1}":                "context is not usable JSON, line 1, column 2: expected a key in double quotes, found 'a'",
		`{"a": 1,}`:             "context is not usable JSON, line 1, column 9: expected a key in double quotes, found '}'",
		"{\"é\": 1\n \"b\": 2}": "context is not usable JSON, line 2, column 2: expected ',' or '}' after a member of an object, found '\"'",
		`{"é" 1}`:               "context is not usable JSON, line 1, column 6: expected ':' after the key \"é\", found '1'",
		`{"a": [1 2]}`:          "context is not usable JSON, line 1, column 10: expected ',' or ']' after an item of an array, found '2'",
		`{"a": [`:               "context is not usable JSON, line 1, column 8: a value is missing",
		`{"a": 1} x`:            "context is not usable JSON, line 1, column 10: there is more text after the end of the value: 'x'",
		`{"a": 01}`:             "context is not usable JSON, line 1, column 8: a number cannot begin with 0: write it without, or in quotes",
		`{"a": 1.}`:             "context is not usable JSON, line 1, column 9: a number needs a digit after its point, found '}'",
		`{"a": 1e}`:             "context is not usable JSON, line 1, column 9: a number needs a digit in its exponent, found '}'",
		`{"a": -}`:              "context is not usable JSON, line 1, column 8: a number needs a digit, found '}'",
		`{"a": +1}`:             "context is not usable JSON, line 1, column 7: a value cannot begin with '+'",
		`{"a": NaN}`:            "context is not usable JSON, line 1, column 7: a value cannot begin with 'N'",
		`{"a": "b`:              "context is not usable JSON, line 1, column 9: a text that begins at 1:7 has no closing quote",
		`{"a": "\x"}`:           `context is not usable JSON, line 1, column 9: there is no escape \x`,
		`{"a": "\u12"}`:         `context is not usable JSON, line 1, column 10: an escape \u needs four hexadecimal digits, found "12\"}"`,
		"{\"a\": \"\t\"}":       `context is not usable JSON, line 1, column 8: a text cannot hold the control character 0x09 as it is; write it as \u0009`,
		"{\"a\": \"\xff\"}":     "context is not usable JSON, line 1, column 8: the byte 0xff is not valid UTF-8",
		`{"a": "\u0000"}`:       `context is not usable JSON, line 1, column 7: a text cannot hold the NUL character \u0000: PostgreSQL cannot store it`,
		`{"a": "\ud800x"}`:      `context is not usable JSON, line 1, column 7: \ud800 is half of a surrogate pair and no character`,
		`{"a": 1e999999999}`:    "context is not usable JSON, line 1, column 7: the exponent of 1e999999999 is beyond the limit of 1000",
		`{"a":` + strings.Repeat("9", 200_000) + `}`: "context is not usable JSON, line 1, column 6: a number of 200000 digits is beyond the limit of 131072",
		strings.Repeat(`{"a":`, 5000):                "context is not usable JSON, line 1, column 5006: the values nest deeper than 1000 levels",
	} {
		filled, err := tmpl.ValidateContext([]byte(input))
		require.Nil(t, filled)
		require.Equal(t, []string{want}, violations(t, err), "%.80s", input)
	}
	_, err := tmpl.ValidateContext([]byte(`{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}`))
	require.Equal(t, []string{
		`context is not usable JSON, line 1, column 24: the key "c" is given twice, first at line 1`,
		`context is not usable JSON, line 1, column 33: the key "a" is given twice, first at line 1`,
	}, violations(t, err))
}

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
	require.Equal(t, []string{"context cannot be completed: the defaults of the schema do not come to an end"}, violations(t, err))
}

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

func TestContextErrorText(t *testing.T) {
	t.Parallel()
	tmpl := withSchema(t, `{required: [a, b]}`)
	_, err := tmpl.ValidateContext([]byte(`{"a": 1}`))
	require.EqualError(t, err, "bad context for default/x 0.1.0: context.b is required")
	_, err = tmpl.ValidateContext([]byte(`{}`))
	require.EqualError(t, err, "bad context for default/x 0.1.0, 2 faults:\n  context.a is required\n  context.b is required")
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

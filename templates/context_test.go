package templates_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// withSchema makes a template with the given JSON as its schema. JSON is also
// YAML.
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
		`{'a': 1}`:              `context is not usable JSON, line 1, column 2: expected a key in double quotes, found "'"`,
		`{\a: 1}`:               `context is not usable JSON, line 1, column 2: expected a key in double quotes, found '\'`,
		"{\u200b}":              `context is not usable JSON, line 1, column 2: expected a key in double quotes, found '\u200b'`,
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

func TestContextErrorText(t *testing.T) {
	t.Parallel()
	tmpl := withSchema(t, `{required: [a, b]}`)
	_, err := tmpl.ValidateContext([]byte(`{"a": 1}`))
	require.EqualError(t, err, "bad context for default/x 0.1.0: context.b is required")
	_, err = tmpl.ValidateContext([]byte(`{}`))
	require.EqualError(t, err, "bad context for default/x 0.1.0, 2 faults:\n  context.a is required\n  context.b is required")
}

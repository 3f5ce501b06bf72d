package templates_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// FuzzParse checks that any file gives a template, or problems with places. It
// also checks that Decode reads the encoded template back.
func FuzzParse(f *testing.F) {
	for _, tc := range problemCases {
		f.Add([]byte(tc.yaml))
	}
	for _, tc := range coreProblemCases {
		f.Add([]byte(tc.yaml))
	}
	for _, c := range hintCases {
		f.Add([]byte(c.yaml))
	}
	for _, schema := range []string{
		"{type: string, enum: [a]}", "{anyOf: [{const: 5}, false]}", "{required: [a], additionalProperties: false}", "{minProperties: 3, maxProperties: 2}",
		"{$ref: '#/$defs/a', $defs: {a: {allOf: [{$ref: '#'}]}}, propertys: {a: {}}, items: [{typ: a}]}",
	} {
		f.Add([]byte(schemaOf(schema)))
	}
	for _, file := range []string{"testdata/order.yml", "testdata/ticket.yml"} {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(":name: x\n:steps:\n  - :name: a\n    :handler:\n      :callable: a.b\n      :initialization:\n        :a: 1\n        a: 2\n"))
	f.Add([]byte("a: &a [*a, {<<: *a}]\n? {b: c}\n: !!binary d\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tmpl, err := templates.Parse(data, "t.yml")
		if err != nil {
			var problems *templates.Problems
			require.ErrorAs(t, err, &problems)
			require.NotEmpty(t, problems.List)
			lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) +
				strings.Count(string(data), "\u0085") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + 2
			for _, p := range problems.List {
				require.NotEmpty(t, p.Message)
				require.LessOrEqual(t, p.Line, lines)
				if !strings.HasSuffix(p.Message, "problems are not shown") {
					require.Positive(t, p.Line)
					require.Positive(t, p.Column)
				}
			}
			return
		}
		require.NotEmpty(t, tmpl.Text())
		require.NotEmpty(t, tmpl.Mermaid())
		decoded, err := templates.Decode(tmpl.Encode())
		require.NoError(t, err)
		require.Equal(t, tmpl.Digest(), decoded.Digest())
		require.Equal(t, string(tmpl.Encode()), string(decoded.Encode()))
		require.Empty(t, templates.Diff(tmpl, decoded))
		require.Empty(t, templates.Changes(tmpl, decoded))
		if _, err := tmpl.ValidateContext([]byte(`{}`)); err != nil {
			require.NotEmpty(t, violations(t, err))
		}
	})
}

// FuzzValidateContext compares ValidateContext with encoding/json. A context that
// only one of them refuses must have a reason, and an accepted context must not
// be changed.
func FuzzValidateContext(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `{"a":1}`, `{"a":{"b":[1,2.5,-3e10,null,true,"x\u00e9\ud83d\ude00"]}}`, `{"a":1,"a":2}`, `{"a":"\ud800"}`,
		`{"order_id":1606938044258990275541962092341162602522202993782792835301376,"items":[{"sku":"A-1","price":0.10}]}`,
		`{"order_id":1e2,"items":[{"sku":"A-1","price":1e-7,"quantity":1.0}],"gift":{"wrap":1}}`, "{\"a\": \"\x00\"}", `{"a":01}`,
	} {
		f.Add([]byte(seed))
	}
	order, err := templates.Load("testdata/order.yml")
	require.NoError(f, err)
	free := parse(f, "name: x\n"+steps)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := order.ValidateContext(data); err != nil {
			require.NotEmpty(t, violations(t, err))
		}
		filled, err := free.ValidateContext(data)
		if err != nil {
			list := violations(t, err)
			require.NotEmpty(t, list)
			if value, ok := decode(data); ok {
				if _, isObject := value.(map[string]any); isObject {
					requireOurOwnReason(t, strings.Join(list, "\n"))
				}
			}
			return
		}
		value, ok := decode(data)
		require.True(t, ok, "encoding/json refuses what was taken")
		again, ok := decode(filled)
		require.True(t, ok)
		require.Equal(t, value, again)
		twice, err := free.ValidateContext(filled)
		require.NoError(t, err)
		require.Equal(t, string(filled), string(twice))
	})
}

// requireOurOwnReason checks a context that encoding/json accepts and we refuse.
// It must hold one of the things that only we refuse.
func requireOurOwnReason(t *testing.T, text string) {
	t.Helper()
	for _, reason := range []string{"is given twice", "NUL character", "surrogate pair", "not valid UTF-8", "the limit of", "nest deeper"} {
		if strings.Contains(text, reason) {
			return
		}
	}
	require.Fail(t, "refused without a reason", text)
}

func decode(data []byte) (any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return value, errors.Is(err, io.EOF)
}

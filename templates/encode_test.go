package templates_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestDecodeGivesTheTemplateBack(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"", "test", "staging"} {
		tmpl := load(t, environment)
		decoded, err := templates.Decode(tmpl.Encode())
		require.NoError(t, err)
		require.Equal(t, tmpl.Digest(), decoded.Digest())
		require.Equal(t, tmpl.Encode(), decoded.Encode())
		require.Equal(t, tmpl.TaskHandlerClass, decoded.TaskHandlerClass)
		require.Len(t, decoded.Steps, len(tmpl.Steps))
		for i, s := range tmpl.Steps {
			want := *s
			want.Position, want.HandlerPosition = templates.Position{}, templates.Position{}
			require.Equal(t, &want, decoded.Steps[i])
		}
		_, err = decoded.ValidateContext([]byte(`{"order_id": 0, "items": []}`))
		require.Len(t, violations(t, err), 2, "the schema is compiled again")
	}
}

func TestEncodingIsStable(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "name: x\nstep_templates:\n  - {name: a, handler_class: A, handler_config: {z: 1, a: 2}}\n")
	require.Equal(t, `{"name":"x","namespace_name":"default","version":"0.1.0","concurrent":true,`+
		`"default_dependent_system":"unknown","handler_config":{},"custom_events":[],"step_templates":[{`+
		`"name":"a","handler_class":"A","description":"a","dependent_system":"unknown","default_retryable":true,`+
		`"default_retry_limit":3,"skippable":false,"depends_on_steps":[],"handler_config":{"z":1,"a":2},"custom_events":[],`+
		`"backoff":{"curve":"exponential","jitter":0.1},"transaction":"lazy"}]}`, string(tmpl.Encode()))
	require.Len(t, tmpl.Digest(), 64)
}

func TestDigestSeesWhatIsSaid(t *testing.T) {
	t.Parallel()
	base := "name: x\nstep_templates:\n  - {name: a, handler_class: A}\n  - {name: b, handler_class: B, depends_on_step: a}\n"
	same := []string{
		"# a comment\n" + base,
		"step_templates:\n  - {depends_on_steps: [a], handler_class: '::B', name: b}\n  - handler_class: A\n    name: a\n    default_retry_limit: 0x3\nname: x\nversion: 0.1.0\n",
		base + "environments: {test: {concurrent: false}}\n",
		strings.Replace(base, "class: A", "class: A, keep_threads: false", 1),
		base + "queue: default\n",
	}
	for _, yaml := range same {
		require.Equal(t, parse(t, base).Digest(), parse(t, yaml).Digest(), yaml)
		require.Empty(t, templates.Diff(parse(t, base), parse(t, yaml)))
	}
	seen := map[string]bool{parse(t, base).Digest(): true}
	for _, change := range []struct{ from, to string }{
		{"name: x", "name: y"},
		{"name: x", "name: x\nnamespace_name: n"},
		{"name: x", "name: x\nversion: 0.2.0"},
		{"name: x", "name: x\nconcurrent: no"},
		{"name: x", "name: x\nschema: {}"},
		{"name: x", "name: x\nhandler_config: {a: 1}"},
		{"name: x", "name: x\ncustom_events: [{name: e}]"},
		{"name: x", "name: x\ntask_handler_class: T"},
		{"name: x", "name: x\nqueue: mail"},
		{"name: x", "name: x\nkeep: 30d"},
		{"name: x", "name: x\nkeep: forever"},
		{"class: A", "class: C"},
		{", depends_on_step: a", ""},
		{"class: A", "class: A, handler_config: {n: 1}"},
		{"class: A", "class: A, handler_config: {n: 1.0}"},
		{"class: A", "class: A, timeout_seconds: 0.001"},
		{"class: A", "class: A, backoff: {base_seconds: 1}"},
		{"class: A", "class: A, transaction: none"},
		{"class: A", "class: A, keep_threads: true"},
		{"class: A", "class: A, concurrency_key: k"},
		{"class: A", "class: A, concurrency_key: k, concurrency_limit: 2"},
	} {
		digest := parse(t, strings.Replace(base, change.from, change.to, 1)).Digest()
		require.False(t, seen[digest], change.to)
		seen[digest] = true
	}
}

func TestDecodeRefusesWhatIsNotATemplate(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		``:        `template:1:1: a value is missing`,
		`[]`:      `template:1:1: a template must be a mapping, found a list`,
		`{"a":1}`: `a template has no key "a"`,
		`{"a":1`:  `expected ',' or '}'`,
		`{"name":1,"step_templates":[{"name":"a","handler_class":"A"}]}`: `name must be text`,
	} {
		_, err := templates.Decode([]byte(input))
		require.ErrorContains(t, err, want)
	}
}

// Templates that were stored before there was keep_threads have no such key.
func TestKeepThreadsIsEncoded(t *testing.T) {
	t.Parallel()
	const file = "name: x\nstep_templates:\n  - {name: a, handler_class: A%s}\n"
	for said, kept := range map[string]bool{"": false, ", keep_threads: no": false, ", keep_threads: yes": true} {
		tmpl := parse(t, fmt.Sprintf(file, said))
		require.Equal(t, kept, tmpl.Step("a").KeepThreads, said)
		document := tmpl.Encode()
		require.Equal(t, kept, strings.Contains(string(document), `"keep_threads":true`), said)
		require.Equal(t, kept, strings.Contains(string(document), "keep_threads"), said)
		decoded, err := templates.Decode(document)
		require.NoError(t, err)
		require.Equal(t, kept, decoded.Step("a").KeepThreads, said)
	}
	before, after := parse(t, fmt.Sprintf(file, "")), parse(t, fmt.Sprintf(file, ", keep_threads: true"))
	require.Equal(t, "+ step_templates.a.keep_threads: true\n", templates.Diff(before, after))
	require.True(t, parse(t, fmt.Sprintf(file, "")+
		"environments: {test: {step_templates: [{name: a, keep_threads: true}]}}\n", templates.WithEnvironment("test")).Step("a").KeepThreads)
}

// A stored template was accepted before, and tasks run with it. Decode accepts it
// even if it has a default that Parse refuses today.
func TestDecodeTakesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	const document = `{"name": "x", "schema": {"properties": {"n": {"type": "integer", "default": "none"}}}, "step_templates": [{"name": "a", "handler_class": "A"}]}`
	_, err := templates.Parse([]byte(document), "x.yaml")
	require.ErrorContains(t, err, "schema.properties.n.default: must be an integer")
	_, err = templates.Decode([]byte(document))
	require.NoError(t, err)
}

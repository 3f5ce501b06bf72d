package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// badInput is one way to be wrong.
type badInput struct {
	name     string
	template string            // of t.yaml; default: one("Fine")
	files    map[string]string // beside handlers/fine.rb
	args     []string          // after "run t.yaml"
	errors   []string          // one for each problem; each a part of its line
	hint     string            // a part of the last hint
}

// emptyProject has a sound template and handler, and a database without tables.
func emptyProject(t *testing.T) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir(), url: pgtest.URL(t)}
	p.write(map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	return p
}

func refuseAll(t *testing.T, cases []badInput) {
	t.Parallel()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			template := c.template
			if template == "" {
				template = one("Fine")
			}
			p := newProject(t, map[string]string{"t.yaml": template, "handlers/fine.rb": fine})
			p.write(c.files)
			requireRefused(t, p.run(append([]string{"run", "t.yaml"}, c.args...)...), c.errors, c.hint)
			require.Zero(t, p.written())
		})
	}
}

// requireRefused wants exit code 2, nothing on standard output, and lines of
// cause and remedy on standard error that a user can read.
func requireRefused(t *testing.T, r result, causes []string, hint string) {
	t.Helper()
	require.Equal(t, exitBadInput, r.code, r.stdout+r.stderr)
	require.Empty(t, r.stdout)
	var errors, hints []string
	for line := range strings.Lines(r.stderr) {
		switch {
		case strings.HasPrefix(line, "error: "):
			errors = append(errors, line)
		case strings.HasPrefix(line, "hint: "):
			hints = append(hints, line)
		default:
			require.True(t, strings.HasPrefix(line, "  ") && len(errors) > 0, "%q is neither cause nor remedy in\n%s", line, r.stderr)
		}
	}
	require.Len(t, errors, len(causes), r.stderr)
	for i, cause := range causes {
		require.Contains(t, errors[i], cause)
	}
	require.NotEmpty(t, hints, r.stderr)
	require.LessOrEqual(t, len(hints), len(errors), r.stderr)
	require.Contains(t, hints[len(hints)-1], hint)
	for _, internal := range []string{"goroutine", "strconv", "rubyhost", "localpg", "orchestration", "pgx", "pgconn", ".go:", "%!"} {
		require.NotContains(t, r.stderr, internal)
	}
}

func TestBadTemplates(t *testing.T) {
	refuseAll(t, []badInput{
		{name: "not YAML", template: "name: [\n", errors: []string{"t.yaml:1:1: this is not valid YAML"}, hint: "brackets"},
		{name: "empty", template: "\n", errors: []string{"the file is empty"}, hint: "step_templates:"},
		{name: "text", template: "hello\n", errors: []string{"t.yaml:1:1: a template must be a mapping"}, hint: "Begin with name:"},
		{name: "wrong type", template: "name: t\nstep_templates: 3\n", errors: []string{"t.yaml:2:17: step_templates must be a list, found the value 3"}, hint: "docs/templates.md"},
		{name: "unknown key", template: one("Fine") + "namespace_nme: x\n",
			errors: []string{`t.yaml:4:1: a template has no key "namespace_nme"`}, hint: `Did you mean "namespace_name"?`},
		{name: "cycle", template: "name: t\nstep_templates:\n  - {name: a, handler_class: Fine, depends_on_step: b}\n  - {name: b, handler_class: Fine, depends_on_step: a}\n",
			errors: []string{"the steps depend on each other in a cycle: a -> b -> a"}, hint: "Remove one of these dependencies."},
		{name: "duplicate step", template: "name: t\nstep_templates:\n  - {name: a, handler_class: Fine}\n  - {name: a, handler_class: Fine}\n",
			errors: []string{`t.yaml:4:12: the step "a" is given twice, first at t.yaml:3:12`}, hint: "Rename"},
		{name: "unknown dependency", template: "name: t\nstep_templates:\n  - {name: a, handler_class: Fine, depends_on_step: elsewhere}\n",
			errors: []string{`the step "a" depends on "elsewhere", which is not a step`}, hint: "Add the step"},
		{name: "all at once", template: "nme: t\nstep_templates:\n  - {name: a, handler_class: Fine, retries: many}\n",
			errors: []string{`no key "nme"`, `name`, `no key "retries"`}},
		{name: "unknown environment", template: one("Fine") + "environments: {test: {}}\n", args: []string{"--env", "prod"},
			errors: []string{`t.yaml has no environment "prod"`}, hint: "It has test."},
	})
}

func TestATemplateThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	requireRefused(t, p.run("run", "none.yaml"), []string{"none.yaml: the file does not exist"}, "Check the path")
	p.write(map[string]string{"order.yml": one("Fine")})
	requireRefused(t, p.run("run", "order"), []string{"order: the file does not exist"}, `Did you mean "order.yml"?`)
	requireRefused(t, p.run("run", "."), []string{"this is a directory"}, "Name one file")
	require.Zero(t, p.written())
}

func TestBadContexts(t *testing.T) {
	schema := one("Fine") + `
schema:
  type: object
  required: [id]
  properties:
    id: {type: integer}
    lines: {type: array, items: {type: object, properties: {quantity: {type: integer, minimum: 1}}}}
`
	refuseAll(t, []badInput{
		{name: "not JSON", args: []string{"--context", "{id: 1}"}, errors: []string{"the context is not usable JSON, line 1, column 2"}, hint: "in single quotes"},
		{name: "empty", args: []string{"--context", ""}, errors: []string{"the context is empty"}, hint: "in single quotes"},
		{name: "more behind it", args: []string{"--context", "{} {}"}, errors: []string{"more text after the end"}, hint: "in single quotes"},
		{name: "not an object", args: []string{"--context", "[1]"}, errors: []string{"the context must be a JSON object, got an array"}, hint: "in single quotes"},
		{name: "same key twice", args: []string{"--context", `{"a":1,"a":2}`}, errors: []string{"not usable JSON"}, hint: "in single quotes"},
		{name: "file is missing", args: []string{"--context", "@none.json"}, errors: []string{"--context: the file none.json cannot be read: no such file"}, hint: "@FILE"},
		{name: "file is a folder", args: []string{"--context", "@handlers"}, errors: []string{"--context: the file handlers cannot be read: is a directory"}, hint: "@FILE"},
		{name: "against the schema", template: schema, errors: []string{"the context does not fit the template default/one"}, hint: "schema: in t.yaml says what it must be; give it with --context"},
		{name: "not JSON in a file", files: map[string]string{"c.json": "{\"id\":\n 1,}"}, args: []string{"--context", "@c.json"},
			errors: []string{"the context in c.json is not usable JSON, line 2, column 4"}, hint: "Correct that file"},
		{name: "a file without @", files: map[string]string{"c.json": "{}"}, args: []string{"--context", "c.json"},
			errors: []string{"the context is not usable JSON, line 1, column 1"}, hint: "write --context @c.json."},
		{name: "nothing on standard input", args: []string{"--context", "-"}, errors: []string{"the context from standard input is empty"}, hint: "Write one JSON object"},
		{name: "a file against the schema", template: schema, files: map[string]string{"c.json": "{}"}, args: []string{"--context", "@c.json"},
			errors: []string{"the context in c.json does not fit the template default/one"}, hint: "schema: in t.yaml"},
	})
}

func TestEachViolationHasItsPath(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine, "t.yaml": one("Fine") + `
schema: {properties: {id: {type: integer}, lines: {items: {properties: {quantity: {type: integer, minimum: 1}}}}}}
`})
	r := p.run("run", "t.yaml", "--context", `{"id": "x", "lines": [{"quantity": 0}, {"quantity": "q"}]}`)
	requireRefused(t, r, []string{"does not fit"}, "schema:")
	requireInOrder(t, r.stderr,
		"\n  context.id must be an integer, got a string\n",
		"  context.lines[0].quantity must be at least 1, got 0\n",
		"  context.lines[1].quantity must be an integer, got a string\n")
	require.Zero(t, p.written())
}

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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

package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

const pair = `
name: pair
step_templates:
  - {name: first, handler_class: Fine}
  - {name: second, handler_class: Fien, depends_on_step: first}
`

func TestLint(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{"good/pair.yaml": pair, "good/more/one.yml": one("Fine"), "bad/t.yaml": "name: 1\nstep_templates: []\n", "handlers/fine.rb": fine})

	r := p.run("templates", "lint", "good")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, "2 templates, 0 problems\n", r.stdout)

	r = p.run("templates", "lint", "good", "bad/t.yaml")
	require.Equal(t, exitTaskFailed, r.code)
	requireInOrder(t, r.stdout, "error: bad/t.yaml:1:7: name must be text, found ", "hint: Put it in quotes: \"1\"\n", "error: bad/t.yaml:2:", "3 templates, 2 problems\n")

	r = p.run("templates", "lint", "good", "--handlers", "handlers", "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	var report struct {
		Files    []string
		Problems []struct {
			File          string
			Line, Column  int
			Message, Hint string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	require.Equal(t, []string{"good/more/one.yml", "good/pair.yaml"}, report.Files)
	require.Len(t, report.Problems, 1)
	require.Equal(t, 5, report.Problems[0].Line)
	require.Contains(t, report.Problems[0].Message, "did you mean Fine?")
	require.NotEmpty(t, report.Problems[0].Hint)
}

// withMetadata is a template with a part that only describes it.
const withMetadata = `
name: described
metadata: {author: A}
steps:
  - {name: only, handler: {callable: Fine}}
`

func TestLintPrintsWarnings(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{"good.yaml": withMetadata, "bad.yaml": withMetadata + "  - {name: second}\n", "handlers/fine.rb": fine})

	r := p.run("templates", "lint", "good.yaml", "--handlers", "handlers")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, "warning: good.yaml:3:1: nothing reads metadata\nhint: It only describes the template. It may stay.\n"+
		"1 template, 0 problems, 1 warning\n", r.stdout)

	r = p.run("templates", "lint", "bad.yaml", "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	var report struct{ Problems, Warnings []struct{ Line int } }
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	require.Len(t, report.Problems, 1)
	require.Equal(t, 6, report.Problems[0].Line)
	require.Len(t, report.Warnings, 1)
	require.Equal(t, 3, report.Warnings[0].Line)
}

func TestRunPrintsWarnings(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"described.yaml": withMetadata, "handlers/fine.rb": fine})
	r := p.run("run", "described.yaml")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stderr, "warning: described.yaml:3:1: nothing reads metadata\n")
	require.NotContains(t, r.stdout, "warning")
}

func TestShow(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{"pair.yaml": pair})
	for format, want := range map[string]string{"text": "second", "ascii": "second", "mermaid": "s0 --> s1", "json": `"depends_on_step`} {
		r := p.run("templates", "show", "pair.yaml", "--output", format)
		require.Zero(t, r.code, r.stderr)
		require.Contains(t, r.stdout, want, format)
	}
}

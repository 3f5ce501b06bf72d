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
	require.Contains(t, p.run("templates", "show", "pair.yaml").stdout, "●")
	p.env = []string{"LC_ALL=C"}
	require.Equal(t, p.run("templates", "show", "pair.yaml", "--output", "ascii").stdout, p.run("templates", "show", "pair.yaml").stdout)
}

// A handler file that cannot be loaded hides no other problem.
func TestLintNamesEveryBrokenFile(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{
		"bad.yaml": "name: 1\nstep_templates: []\n", "one.yaml": one("Broken"), "lost.yaml": one("Lost"),
		"handlers/broken.rb": "class Broken\n  def process(\nend\n", "handlers/raises.rb": "\nraise ArgumentError, 'no key'\n",
		"handlers/waits.rb": "class Waits < Broken\nend\n",
	})
	args := []string{"templates", "lint", "bad.yaml", "one.yaml", "lost.yaml", "--handlers", "handlers"}
	r := p.run(args...)
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Empty(t, r.stderr)
	requireInOrder(t, r.stdout, "error: bad.yaml:1:7: ", "error: bad.yaml:2:",
		"error: handlers/raises.rb:2: ArgumentError: no key\nhint: Correct the file, or load what it needs",
		"error: handlers/waits.rb:1: uninitialized constant Broken\nhint: It is defined at handlers/broken.rb:1, in a file that cannot be loaded",
		"error: lost.yaml:3:33: the handler of step only: there is no class Lost",
		"error: one.yaml:3:33: the handler of step only: Broken is defined at handlers/broken.rb:1, in a file that cannot be loaded\nhint: Correct that file.\n",
		"3 templates, ")
	require.Regexp(t, `error: handlers/broken\.rb:\d: syntax error.*\nhint: Correct the file; `+"`ruby -wc FILE` checks one", r.stdout)

	r = p.run(append(args, "--output", "json")...)
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	var report struct{ Problems []lintProblem }
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	require.Contains(t, report.Problems, lintProblem{File: "handlers/raises.rb", Line: 2, Message: "ArgumentError: no key",
		Hint: "Correct the file, or load what it needs with --handlers DIR or --require FILE."})
}

func TestRunNamesEveryBrokenFile(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine,
		"handlers/a.rb": "\nraise ArgumentError, 'no key'\n", "handlers/b.rb": "exit\n"})
	r := p.run("run", "one.yaml", "--output", "json")
	require.Equal(t, exitBadInput, r.code)
	require.Equal(t, "error: handlers/a.rb:2: ArgumentError: no key\nhint: Correct the file, or load what it needs with --handlers DIR or --require FILE.\n"+
		"error: handlers/b.rb:1: the file called exit\nhint: A handler file may only define things; take the exit out.\n", r.stderr)
	var document errorDocument
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &document))
	require.Len(t, document.Errors, 2)
	require.Equal(t, "handlers/b.rb", document.Errors[1].File)
	require.Zero(t, p.written())

	p.write(map[string]string{"handlers/b.rb": ""})
	r = p.run("run", "one.yaml", "--output", "json")
	require.Equal(t, exitBadInput, r.code)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &document))
	require.Len(t, document.Errors, 1)
	require.Equal(t, placedJSON{File: p.dir + "/handlers/a.rb", Line: 2, Message: "ArgumentError: no key", Hint: document.Hint}, document.Errors[0])
}

// Neither does a template that has other problems: its handlers are looked for, too.
func TestLintNamesTheMissingClassesOfATemplateWithProblems(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{
		"bad.yaml": "name: bad\ntask_handler_class: Nobody\nstep_templates:\n  - {name: a, handler_class: Fien, retry_limt: 3}\n" +
			"  - {handler_class: Lost}\n  - {name: c, handler_class: Broken}\n  - {name: d, handler_class: Fine}\n",
		"handlers/fine.rb": fine, "handlers/broken.rb": "class Broken\n  def process(\nend\n",
	})
	r := p.run("templates", "lint", "bad.yaml", "--handlers", "handlers")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	requireInOrder(t, r.stdout, `error: bad.yaml:4:36: a step has no key "retry_limt"`, "error: bad.yaml:5:5: the step has no name", "error: handlers/broken.rb:",
		"error: bad.yaml:4:30: the handler of step a: there is no class Fien", "did you mean Fine?", "error: bad.yaml:5:21: the handler of step: there is no class Lost",
		"error: bad.yaml:6:30: the handler of step c: Broken is defined at handlers/broken.rb:1, in a file that cannot be loaded",
		"warning: bad.yaml:1:7: no file defines the task handler Nobody", "1 template, 6 problems, 1 warning\n")

	r = p.run("doctor", "--handlers", "handlers", "--templates", "bad.yaml")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	requireInOrder(t, r.stdout, `bad.yaml:4: error: a step has no key "retry_limt"`, "bad.yaml:4: error: the handler of step a: there is no class Fien")
}

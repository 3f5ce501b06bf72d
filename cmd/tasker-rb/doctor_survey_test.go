package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unreachable is a database that no test may ask.
const unreachable = "postgres://app@127.0.0.1:1/x"

const coreTicket = `
name: ticket
task_handler: {callable: Tickets::Nobody}
steps:
  - {name: hold, handler: {callable: Fine}}
  - {name: pay, handler: {callable: Fine, method: refund}, dependencies: [hold]}
`

const decides = `
name: decides
steps:
  - {name: first, handler: {callable: Fine}, type: decision}
  - {name: many, handler: {callable: Fine}, type: batchable, dependencies: [first]}
`

func TestDoctorOfSoundCode(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir(), url: unreachable}
	p.write(map[string]string{"app/pay.yaml": one("Fine"), "app/handlers/fine.rb": fine})
	for _, args := range [][]string{
		{"doctor", "--handlers", "app/handlers", "--templates", "app"},
		{"doctor", "--templates", "app/pay.yaml"},
	} {
		r := p.run(args...)
		require.Zero(t, r.code, r.stdout+r.stderr)
		require.Equal(t, "1 handler, 1 template: 0 errors, 0 warnings\n", r.stdout)
	}
	r := p.run("doctor", "--handlers", "app/handlers", "--output", "json")
	require.Zero(t, r.code, r.stderr)
	require.JSONEq(t, `{"problems":[],"handlers":1,"templates":0,"errors":0,"warnings":0}`, r.stdout)
}

// Each problem is in the words and at the place that a reader can use.
func TestDoctorOfCode(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir(), url: unreachable}
	p.write(map[string]string{
		"app/handlers/broken.rb": "class Broken\n  def x(\nend\n",
		"app/handlers/fine.rb":   fine,
		"app/handlers/pay.rb": "class Pay < Tasker::StepHandler::Base\n  def process(task, _sequence, _step)\n    exit if task.context[:stop]\n" +
			"    task.context[:paid] = true\n  end\nend\n",
	})
	r := p.run("doctor", "--handlers", "app/handlers")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	requireInOrder(t, r.stdout, "app/handlers/broken.rb:", ": error: ", "\n    Correct the file",
		"\n\napp/handlers/pay.rb:3: error: exit fails the step", "\n    Return to end the step",
		"\napp/handlers/pay.rb:4: warning: no other step sees this write to task.context\n    Return it as results",
		"\n\n2 handlers: ", " errors, 1 warning\n")
	require.NotContains(t, r.stdout, p.dir)

	r = p.run("doctor", "--handlers", filepath.Join(p.dir, "app/handlers"), "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	var report surveyReport
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	require.Equal(t, 2, report.Handlers)
	require.Equal(t, report.Errors+report.Warnings, len(report.Problems))
	last := report.Problems[len(report.Problems)-1]
	require.Equal(t, filepath.Join(p.dir, "app/handlers/pay.rb"), last.File)
	require.Equal(t, []any{4, "warning"}, []any{last.Line, last.Severity})

	inner := p.command("doctor", "--handlers", ".", "--handlers", "../handlers")
	inner.Dir = filepath.Join(p.dir, "app/handlers")
	requireInOrder(t, p.finish(inner).stdout, "\npay.rb:3: error: ")

	require.NoError(t, os.Remove(filepath.Join(p.dir, "app/handlers/broken.rb")))
	p.write(map[string]string{"app/handlers/pay.rb": "class Pay < Tasker::StepHandler::Base\n  def process(*)\n    binding.irb\n  end\nend\n"})
	r = p.run("doctor", "--handlers", "app/handlers")
	require.Zero(t, r.code, "a warning does not change the exit code: "+r.stdout)
	require.Contains(t, r.stdout, "2 handlers: 0 errors, 1 warning\n")

	p.write(map[string]string{"alone/two.rb": "class Two\n  def process(a, b) = 1\nend\n"})
	r = p.run("doctor", "--handlers", "alone")
	require.Zero(t, r.code, r.stderr)
	requireInOrder(t, r.stdout, "alone/two.rb:2: warning: Two#process has to take 3 arguments, task, sequence and step, not 2\n", "1 handler: 0 errors, 1 warning\n")
}

func TestDoctorOfTemplates(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir(), url: unreachable}
	p.write(map[string]string{
		"config/bad.yaml": "name: 1\nstep_templates: []\n", "config/lost.yaml": one("Fien"), "config/ticket.yaml": coreTicket, "config/decides.yaml": decides,
		"app/handlers/fine.rb": fine,
	})
	r := p.run("doctor", "--handlers", "app/handlers", "--templates", "config")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	requireInOrder(t, r.stdout,
		"config/bad.yaml:1: error: name must be text", "\n    Put it in quotes", "config/bad.yaml:2: error: ",
		"config/decides.yaml:4: error: the template is refused, because its steps change while a task runs: ", "(and 1 more place)\n    Steps that are made or chosen",
		"config/lost.yaml:3: error: the handler of step only: there is no class Fien", "did you mean Fine?",
		"config/ticket.yaml:3: warning: the task's class: there is no class Tickets::Nobody",
		"config/ticket.yaml:6: error: the handler of step pay: Fine", "refund",
		"1 handler, 4 templates: ")
	require.NotContains(t, r.stdout, "decides.yaml:5")

	p.write(map[string]string{"app/handlers/fien.rb": "class Fien\n  def x(\nend\n"})
	require.Contains(t, p.run("doctor", "--handlers", "app/handlers", "--templates", "config").stdout,
		"config/lost.yaml:3: error: the handler of step only: Fien is defined at app/handlers/fien.rb:1, in a file that cannot be loaded\n")
	p.write(map[string]string{"app/handlers/nobody.rb": "module Tickets\n  class Nobody\n  end\nend\n"})
	require.NotContains(t, p.run("doctor", "--handlers", "app/handlers", "--templates", "config").stdout, "the task's class")
}

func TestDoctorOfCodeThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir(), url: unreachable}
	p.write(map[string]string{"one.yaml": one("Fine"), "config/x.txt": "", "handlers/fine.rb": fine, "alone/one.yaml": one("Fine")})
	for _, c := range []struct {
		args       []string
		said, hint string
	}{
		{[]string{"--handlers", "nowhere"}, "--handlers nowhere: no such file or directory", "Name the folder"},
		{[]string{"--templates", "config"}, "there is no template below config", "Templates end in"},
		{[]string{"--templates", "alone"}, "there is no folder handlers beside the templates", "--handlers DIR"},
		{[]string{"--template", "one.yaml", "--templates", "one.yaml"}, "--template and --templates exclude each other", "Give --templates"},
		{[]string{"--handlers", "handlers", "--require", "no/such"}, "--require no/such: there is no such feature, gem or file", "Install the gem"},
		{[]string{"--handlers", "handlers", "--output", "yaml"}, `--output cannot be "yaml"`, "Give text or json."},
	} {
		r := p.run(append([]string{"doctor"}, c.args...)...)
		require.Equal(t, exitBadInput, r.code, c.args)
		requireInOrder(t, r.stderr, "error: ", c.said, "hint: ", c.hint)
		require.Empty(t, r.stdout)
	}
	r := p.run("doctor", "--handlers", "nowhere", "--output", "json")
	require.Equal(t, exitBadInput, r.code)
	var said struct {
		Error, Hint string
		Errors      []any
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &said), r.stdout)
	require.Contains(t, said.Error, "--handlers nowhere")
	require.NotEmpty(t, said.Hint)
	require.NotNil(t, said.Errors)
}

// run and worker say it when they load the handlers, once for each line.
func TestRunWarnsOfWritesToTheContext(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Writes"), "handlers/fine.rb": fine,
		"handlers/writes.rb": "class Writes < Tasker::StepHandler::Base\n  def process(task, *)\n    3.times { task.context[:n] = 1 }\n    { n: task.context[:n] }\n  end\nend\n"})
	r := p.run("run", "one.yaml", "--output", "json")
	require.Zero(t, r.code, r.stderr)
	require.Regexp(t, `handlers/writes\.rb:3: no other step sees this write to task\.context; return it as results`, r.stderr)
	require.NotContains(t, r.stderr, "fine.rb")
}

// The checks of the machine, as a document.
func TestDoctorAsJSON(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Missing"), "handlers/fine.rb": fine})
	r := p.run("doctor", "--template", "one.yaml", "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	var d struct{ Checks []checkJSON }
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &d), r.stdout)
	found := map[string]checkJSON{}
	for _, c := range d.Checks {
		found[c.Check] = c
	}
	require.True(t, found["Ruby"].OK)
	require.Contains(t, found["Ruby"].Detail, "CRuby ")
	require.True(t, found["tables"].OK)
	require.False(t, found["handlers"].OK)
	require.Contains(t, found["handlers"].Error, "Missing")
	require.NotEmpty(t, found["handlers"].Hint)
}

// Ruby takes the class that is loaded last. Whoever loads the handlers says so.
func TestAClassInTwoFilesIsWarnedOf(t *testing.T) {
	t.Parallel()
	charge := "module Shop\n  class Charge < Tasker::StepHandler::Base\n    def process(*) = 1\n  end\nend\n"
	p := newProject(t, map[string]string{
		"one.yaml": one("Shop::Charge"), "handlers/a.rb": charge, "handlers/b.rb": "\n" + charge,
		"handlers/c.rb": "module Other\n  class Charge\n    def process(*) = 1\n  end\nend\n",
		"handlers/d.rb": "module Shop\n  class Charge\n    def helper = 1\n  end\nend\n",
	})
	const said = `handlers/b\.rb:3: Shop::Charge is defined at \S*handlers/a\.rb:2 too, and both define process \(\S*handlers/a\.rb:3\); the file that is loaded last wins\. Give each class a name of its own`
	for _, args := range [][]string{{"run", "one.yaml"}, {"templates", "lint", "one.yaml", "--handlers", "handlers"}} {
		r := p.run(args...)
		require.Zero(t, r.code, r.stderr)
		require.Regexp(t, said, r.stdout+r.stderr)
		require.NotContains(t, r.stdout+r.stderr, "c.rb")
		require.NotContains(t, r.stdout+r.stderr, "d.rb")
	}
	r := p.run("doctor", "--handlers", "handlers")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, 1, strings.Count(r.stdout, "loaded last wins"), r.stdout)
}

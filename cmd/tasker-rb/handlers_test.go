package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBadHandlers(t *testing.T) {
	file := func(content string) map[string]string { return map[string]string{"handlers/broken.rb": content} }
	refuseAll(t, []badInput{
		{name: "syntax error", files: file("class Broken\n  def process(\nend\n"), errors: []string{"/handlers/broken.rb:3: syntax error"}, hint: "ruby -wc"},
		{name: "raises", files: file("class Broken\n  frobnicate\nend\n"), errors: []string{"/handlers/broken.rb:2: undefined local variable or method `frobnicate'"}, hint: "Correct the file"},
		{name: "constant missing", files: file("class Broken < Nowhere::Base\nend\n"), errors: []string{"/handlers/broken.rb:1: uninitialized constant Nowhere"}, hint: "--handlers DIR"},
		{name: "gem missing", files: file("require 'no_such_gem'\n"), errors: []string{"/handlers/broken.rb:1: LoadError: cannot load such file -- no_such_gem"}, hint: "Install the gem"},
		{name: "path missing", files: file("require_relative 'helper/foo'\n"), errors: []string{"/handlers/broken.rb:1: LoadError: cannot load such file -- /"}, hint: "Correct the path"},
		{name: "model without a database", files: file("require 'sequel'\nclass Broken < Sequel::Model\nend\n"),
			errors: []string{`; require "tasker/sequel", and then write Sequel::Model.db = Tasker.sequel, in a file that the files of models require`}, hint: "Correct the file"},
		{name: "defined twice", files: map[string]string{"handlers/a.rb": "class Twice; end\n", "handlers/b.rb": "class Twice < String; end\n"},
			errors: []string{"/handlers/b.rb:1: TypeError: superclass mismatch for class Twice; it was defined at /"}, hint: "Correct the file"},
		{name: "exits", files: file("exit\n"), errors: []string{"/handlers/broken.rb:1: the file called exit"}, hint: "may only define"},
		{name: "exits at once", files: file("exit!\n"), errors: []string{"/handlers/broken.rb:1: Tasker::Host::ForbiddenError: exit! is not possible inside tasker-rb: it would end the host"}, hint: "take that call out"},
		{name: "class not found", template: one("Orders::Fine"),
			errors: []string{"t.yaml:3:33: the handler of step only: there is no class Orders::Fine; it was expected in "}, hint: "handler_class:"},
		{name: "class misspelt", template: one("Fien"), errors: []string{"/handlers/fien.rb; did you mean Fine?"}, hint: "handler_class:"},
		{name: "module", template: one("Tasker"), errors: []string{"Tasker is a Module, not a class"}, hint: "handler_class:"},
		{name: "without process", template: one("Idle"), files: map[string]string{"handlers/idle.rb": "class Idle\n  private def process(*) = nil\nend\n"},
			errors: []string{"/handlers/idle.rb:1) has no public method process(task, sequence, step); the one it has is not public"}, hint: "process(task, sequence, step)"},
		{name: "process misspelt", template: one("Idle"), files: map[string]string{"handlers/idle.rb": "class Idle < Tasker::StepHandler::Base\n  def proccess(*) = nil\nend\n"},
			errors: []string{"/handlers/idle.rb:1) has no public method process(task, sequence, step); did you mean proccess?"}, hint: "process(task, sequence, step)"},
		{name: "process of the class", template: one("Idle"), files: map[string]string{"handlers/idle.rb": "class Idle\n  def self.process(*) = nil\nend\n"},
			errors: []string{"/handlers/idle.rb:1) has no public method process(task, sequence, step); the one it has is of the class itself"}, hint: "process(task, sequence, step)"},
		{name: "no such method", template: "name: t\nsteps:\n  - {name: only, handler: {callable: Fine, method: refund}}\n",
			errors: []string{"/handlers/fine.rb:2) has no public method refund, which the template names as the handler's method"}, hint: "callable:"},
		{name: "no such folder", args: []string{"--handlers", "elsewhere"}, errors: []string{"--handlers elsewhere: no such file or directory"}, hint: "Name the folder"},
		{name: "not a folder", args: []string{"--handlers", "handlers/fine.rb"}, errors: []string{"--handlers handlers/fine.rb is not a folder"}, hint: "--require ./handlers/fine.rb"},
		{name: "feature raises", files: map[string]string{"setup.rb": "\nraise 'not today'\n"}, args: []string{"--require", "./setup.rb"},
			errors: []string{"/setup.rb:2: RuntimeError: not today"}, hint: "--require ./setup.rb"},
		{name: "feature not there", args: []string{"--require", "no_such_feature"}, errors: []string{"--require no_such_feature: there is no such feature, gem or file"}, hint: "Install the gem"},
		{name: "feature without its path", files: map[string]string{"setup.rb": ""}, args: []string{"--require", "setup"},
			errors: []string{"--require setup: there is no such feature, gem or file"}, hint: "--require ./setup.rb"},
		{name: "feature at a wrong path", args: []string{"--require", "./setup"}, errors: []string{"--require ./setup: there is no such feature, gem or file"}, hint: "Correct the path"},
		{name: "feature misspelt", args: []string{"--require", "jsno"}, errors: []string{"--require jsno: there is no such feature, gem or file"}, hint: "Did you mean json?"},
		{name: "feature lacks a feature", files: map[string]string{"setup.rb": "require 'no_such_gem'\n"}, args: []string{"--require", "./setup"},
			errors: []string{"cannot load such file -- no_such_gem"}, hint: "It was loaded because of --require ./setup."},
	})
}

func TestEveryMissingClassAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine,
		"t.yaml": "name: t\nstep_templates:\n  - {name: a, handler_class: Lost}\n  - {name: b, handler_class: Fine}\n  - {name: c, handler_class: Gone}\n"})
	requireRefused(t, p.run("run", "t.yaml"), []string{"t.yaml:3:30: the handler of step a: there is no class Lost", "t.yaml:5:30: the handler of step c: there is no class Gone"}, "handler_class:")
	require.Zero(t, p.written())
}

// Without flags a worker takes the folder handlers. With --require it takes that only.
func TestTheHandlersOfAWorker(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"two.yaml": one("Gone"), "lib.rb": "", "handlers/fine.rb": fine})
	const wanted = "two.yaml:3:33: the handler of step only: there is no class Gone"
	requireRefused(t, p.run("worker", "--templates", "two.yaml"), []string{wanted + "; it was expected in "}, "handler_class:")
	alone := p.run("worker", "--templates", "two.yaml", "--require", "./lib.rb")
	requireRefused(t, alone, []string{wanted}, "handler_class:")
	require.Contains(t, alone.stderr, "it was expected in gone.rb\n", "there is no folder")

	worker := p.command("worker")
	out := &lockedBuffer{}
	worker.Stderr = out
	require.NoError(t, worker.Start())
	require.Eventually(t, out.says("ends it handlers="+filepath.Join(p.dir, "handlers")), patience, 5*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	require.NoError(t, os.Rename(filepath.Join(p.dir, "handlers"), filepath.Join(p.dir, "app")))
	requireRefused(t, p.run("worker"), []string{"a worker needs handlers, and there is no folder handlers here"}, "--handlers DIR")
}

func TestNoHandlersFolder(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "app/fine.rb": fine})
	requireRefused(t, p.run("run", "one.yaml"), []string{"there is no folder handlers"}, "--handlers DIR")
	require.Zero(t, p.written())
	for _, args := range [][]string{{"--handlers", "app"}, {"--require", "./app/fine.rb"}} {
		r := p.run(append([]string{"run", "one.yaml"}, args...)...)
		require.Zero(t, r.code, r.stderr)
	}
	r := p.run("run", filepath.Join(p.dir, "one.yaml"), "--handlers", "app", "--handlers", "app")
	require.Zero(t, r.code, r.stderr)
}

// The first library with the name of libruby is an empty file, so Ruby cannot be
// loaded.
func TestNoRuby(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	p.env = hideRuby(t)
	requireRefused(t, p.run("run", "one.yaml"), []string{"libruby"}, "Install CRuby")
	require.Zero(t, p.written())

	r := p.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	require.Regexp(t, `(?m)^FAIL  Ruby +.*libruby \d\.\d is not installed`, r.stdout)
	require.Contains(t, r.stdout, "Install CRuby")
	require.Regexp(t, `(?m)^ok    PostgreSQL`, r.stdout)

	r = p.run("templates", "lint", "one.yaml")
	require.Zero(t, r.code, r.stderr)
}

func hideRuby(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for _, minor := range []string{"3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "4.0"} {
		for _, name := range []string{"libruby.so." + minor, "libruby-" + minor + ".so." + minor} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		}
	}
	return []string{"LD_LIBRARY_PATH=" + dir}
}

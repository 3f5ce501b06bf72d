package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a newcomer gets wrong: the cause and the remedy come in words, before anything is
// written.
func TestFirstMistakes(t *testing.T) {
	link := func(to, at string) func(*project) {
		return func(p *project) {
			path := filepath.Join(p.dir, at)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.Symlink(to, path))
		}
	}
	write := func(name, content string) func(*project) {
		return func(p *project) { p.write(map[string]string{name: content}) }
	}
	t.Parallel()
	for _, c := range []struct {
		name   string
		before func(*project)
		args   string
		url    string
		causes []string
		hint   string
	}{
		{name: "a gem is not installed", before: write("Gemfile", "gem \"no_such_gem\"\n"), args: "run one.yaml --gemfile Gemfile",
			causes: []string{"/Gemfile: Could not find gem 'no_such_gem'"}, hint: "`bundle install --gemfile /"},
		{name: "a Gemfile is no Ruby", before: write("Gemfile", "\ngem \"no\n"), args: "run one.yaml --gemfile Gemfile",
			causes: []string{"/Gemfile: line 2: "}, hint: "Correct the Gemfile"},
		{name: "a Gemfile raises", before: write("Gemfile", "\nraise 'not today'\n"), args: "run one.yaml --gemfile Gemfile",
			causes: []string{"/Gemfile: line 2: not today"}, hint: "Correct the Gemfile"},
		{name: "a Gemfile is a folder", args: "run one.yaml --gemfile handlers", causes: []string{"--gemfile handlers: is a directory"}, hint: "that you may read"},
		{name: "a Gemfile cannot be read", args: "run one.yaml --gemfile /proc/self/mem", causes: []string{"--gemfile /proc/self/mem: input/output error"}, hint: "that you may read"},
		{name: "a template is a folder", args: "run handlers", causes: []string{"handlers: this is a directory, not a template file"}, hint: "Name one file."},
		{name: "a template is a link to nothing", before: link("nowhere", "away.yaml"), args: "run away.yaml", causes: []string{"away.yaml: the file does not exist"}, hint: "Check the path"},
		{name: "a template cannot be read", args: "run /proc/self/mem", causes: []string{"/proc/self/mem: the file cannot be read: input/output error"}, hint: "Check the file"},
		{name: "a handler file is a link to nothing", before: link("nowhere", "handlers/away.rb"), args: "run one.yaml",
			causes: []string{"/handlers/away.rb: the file cannot be read: No such file or directory"}, hint: "make this one readable, or remove it"},
		{name: "a handler file is a folder", before: write("handlers/folder.rb/README", ""), args: "run one.yaml",
			causes: []string{"/handlers/folder.rb: the file cannot be read: Is a directory"}, hint: "make this one readable"},
		{name: "a handler file cannot be read", before: link("/proc/self/mem", "handlers/broken.rb"), args: "run one.yaml",
			causes: []string{"/handlers/broken.rb: the file cannot be read: Input/output error"}, hint: "make this one readable"},
		{name: "a feature is a folder", args: "run one.yaml --require ./handlers", causes: []string{"--require ./handlers is a folder"}, hint: "--handlers ./handlers"},
		{name: "a context is a folder", args: "run one.yaml --context @handlers", causes: []string{"--context: the file handlers cannot be read: is a directory"}, hint: "@FILE"},
		{name: "a context cannot be read", args: "run one.yaml --context @/proc/self/mem", causes: []string{"--context: the file /proc/self/mem cannot be read: input/output error"}, hint: "@FILE"},
		{name: "a context file without @", before: write("order.json", "{}"), args: "run one.yaml --context order.json", causes: []string{"the context is not usable JSON"}, hint: "write --context @order.json."},
		{name: "no context file without @", args: "run one.yaml --context order.json", causes: []string{"the context is not usable JSON"}, hint: "If that is a file, write --context @order.json"},
		{name: "steps: for step_templates:", before: write("old.yaml", "name: old\nsteps:\n  - {name: a, handler_class: Fine}\n"), args: "run old.yaml",
			causes: []string{"old.yaml:2:1: the steps below steps: have handler_class:, which belongs to step_templates:"}, hint: "Write step_templates: for steps:."},
		{name: "one letter too few in a flag", args: "run one.yaml --handler handlers", causes: []string{"unknown flag: --handler"}, hint: "Did you mean --handlers?"},
		{name: "one letter too many in a flag", args: "run one.yaml --contexts {}", causes: []string{"unknown flag: --contexts"}, hint: "Did you mean --context?"},
		{name: "a swap in a flag", args: "run one.yaml --outptu json", causes: []string{"unknown flag: --outptu"}, hint: "Did you mean --output?"},
		{name: "a longer flag", args: "run one.yaml --context-file x", causes: []string{"unknown flag: --context-file"}, hint: "Did you mean --context?"},
		{name: "one dash", args: "run one.yaml -handlers x", causes: []string{"unknown shorthand flag"}, hint: "Did you mean --handlers?"},
		{name: "one task", args: "task list", causes: []string{`tasker-rb has no command "task"`}, hint: "Did you mean tasks?"},
		{name: "a scheme", args: "run one.yaml", url: "postgre://app:secret@db/x", causes: []string{"DATABASE_URL is not a PostgreSQL address: it begins with postgre://"}, hint: "Begin it with postgres://"},
		{name: "a port", args: "run one.yaml", url: "postgres://app:secret@127.0.0.1:1/x", causes: []string{"the database at postgres://app@127.0.0.1:1/x cannot be reached"}, hint: "Start that server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := emptyProject(t)
			if c.before != nil {
				c.before(p)
			}
			there := p.url
			if c.url != "" {
				p.url = c.url
			} else {
				p.args(t, "migrate", "up")
			}
			r := p.run(strings.Fields(c.args)...)
			requireRefused(t, r, c.causes, c.hint)
			require.NotContains(t, r.stderr, "secret")
			p.url = there
			require.LessOrEqual(t, p.written(), 0)
		})
	}
}

// args runs a command that must succeed.
func (p *project) args(t *testing.T, args ...string) {
	t.Helper()
	r := p.run(args...)
	require.Zero(t, r.code, r.stderr)
}

// What a handler gets wrong ends its step with words, too.
func TestFirstMistakesOfHandlers(t *testing.T) {
	t.Parallel()
	const template = "name: t\nstep_templates:\n  - {name: validate_cart, handler_class: Fine}\n  - {name: reserve, handler_class: Fine}\n" +
		"  - {name: charge, handler_class: Charge, depends_on_step: validate_cart, default_retry_limit: 1}\n"
	for _, c := range []struct{ name, body, says string }{
		{"a step misspelt", `sequence["validate_crat"].results`, `there is no step "validate_crat"; did you mean "validate_cart"? the steps are validate_cart, reserve, charge`},
		{"a step misspelt, by its method", `sequence.find_step_by_name("pay").results`, `there is no step "pay"; the steps are validate_cart, reserve, charge`},
		{"a step misspelt, and a key", `sequence.get_results("pay")["ok"]`, `there is no step "pay"; the steps are`},
		{"results of a step that it does not depend on", `sequence["reserve"].results["ok"].upcase`, `step charge does not depend on step reserve, so its results are {} here; add reserve to the depends_on_steps of charge`},
		{"and with fetch", `sequence["reserve"].results.fetch("ok")`, `step charge does not depend on step reserve`},
		{"and in a sum", `5 + sequence["reserve"].results["cents"]`, `step charge does not depend on step reserve`},
		{"and it goes on", `sequence.get_results("reserve")["v"]; raise "stop"`, `step "charge" reads the results of "reserve", which it does not depend on`},
		{"a step for its results", `sequence["validate_cart"]["ok"]`, `a step has no []: its results have, as in sequence["validate_cart"].results["ok"]`},
		{"ActiveRecord without a connection", `ENV.delete("DATABASE_URL"); require "tasker/active_record"; ActiveRecord::Base.connection`, `write ActiveRecord::Base.establish_connection adapter: "tasker"`},
		{"a model of Sequel without a database", `require "sequel"; Sequel::Model.db`, `then write Sequel::Model.db = Tasker.sequel`},
		{"csv", `CSV.parse("a")`, `require "csv"`},
		{"net/http", `Net::HTTP.get(URI("http://a"))`, `require "net/http"`},
		{"yaml", `YAML.load("a")`, `require "yaml"`},
		{"openssl", `OpenSSL::HMAC.hexdigest("SHA256", "a", "b")`, `require "openssl"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{"t.yaml": template, "handlers/fine.rb": fine,
				"handlers/charge.rb": "class Charge\n  def process(_task, sequence, _step)\n    " + c.body + "\n  end\nend\n"})
			r := p.run("run", "t.yaml", "--quiet")
			require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
			require.Contains(t, r.stdout, c.says)
			require.Contains(t, r.stdout, "handlers/charge.rb:3")
		})
	}
}

// A nil that has nothing to do with a step is explained with no step.
func TestOtherNilsNameNoStep(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"t.yaml": strings.Replace(one("Fine"), "only", "first", 1) + "  - {name: only, handler_class: Other, depends_on_step: first, default_retry_limit: 1}\n", "handlers/fine.rb": fine,
		"handlers/other.rb": "class Other\n  def process(_task, sequence, _step)\n    sequence[:nowhere]&.results\n    sequence[:first].results[\"ok\"].upcase\n  end\nend\n"})
	r := p.run("run", "t.yaml", "--quiet")
	require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "undefined method")
	require.NotContains(t, r.stdout, "there is no step", "the receiver is not nil")
}

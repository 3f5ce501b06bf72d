package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// declined is a project with a task that failed in its second step.
func declined(t *testing.T) *project {
	t.Helper()
	p := newProject(t, map[string]string{
		"order.yaml": `name: order
namespace_name: shop
version: 1.0.0
step_templates:
  - {name: reserve, handler_class: Reserve}
  - {name: charge, handler_class: Charge, depends_on_step: reserve, backoff: {curve: none, base_seconds: 0}, default_retry_limit: 2}
  - {name: ship, handler_class: Reserve, depends_on_step: charge}
environments:
  production: {step_templates: [{name: ship, default_retry_limit: 7}]}
`,
		"handlers/shop.rb": `class Reserve < Tasker::StepHandler::Base
  def process(*) = { "number" => 2**70, "price" => 0.5, "of what" => ["a \#{b}\n", nil, true] }
end
class Charge < Tasker::StepHandler::Base
  def process(task, _sequence, _step)
    return { "charged" => true } if File.exist?(File.join(__dir__, "..", "good"))
    raise Tasker::PermanentError.new("declined: #{task.context["card"]["number"]}\nfor good", error_code: "D1")
  end
end
`,
		"spec/spec_helper.rb": "",
	})
	r := p.run("run", "order.yaml", "--context", `{"card": {"number": "4111"}, "items": [{"email": "a"}, {"email": "b"}]}`)
	require.Equal(t, exitTaskFailed, r.code, r.stderr+r.stdout)
	return p
}

func TestASpecOfAFailedTask(t *testing.T) {
	t.Parallel()
	p := declined(t)
	r := p.run("tasks", "export", "1", "--spec")
	require.Zero(t, r.code, r.stderr)
	place := filepath.Join(p.dir, "handlers/shop.rb") + ":7:in `process'"
	require.Equal(t, `# frozen_string_literal: true

# Task 1 (shop/order 1.0.0), written by `+"`tasker-rb tasks export`"+`.
# It failed:
#
#   charge: Tasker::PermanentError: declined: 4111
#     `+place+`
#
# This passes as long as the handler fails like that. When you have corrected it, put in
# the place of the last lines what is right:
#
#   expect(task).to be_complete

require "spec_helper"
require "tasker/testing"

RSpec.describe "shop/order" do
  it "fails in charge as task 1 did" do
    task = run_task(
      "shop/order",
      version: "1.0.0",
      env: nil,
      context: { card: { number: "4111" }, items: [{ email: "a" }, { email: "b" }] },
      stubs: {
        "reserve" => { number: 1180591620717411303424, price: 0.5, "of what" => ["a \#{b}\n", nil, true] }
      }
    )

    expect(task.status).to eq("error")
    expect(task.step("charge").error.class_name).to eq("Tasker::PermanentError")
    expect(task.step("charge").error.error_code).to eq("D1")
    expect(task.step("charge").error.message.lines(chomp: true).first).to eq("declined: 4111")
  end
end
`, r.stdout)

	r = p.run("tasks", "export", "1", "--spec", "spec/order_1_spec.rb")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, "spec/order_1_spec.rb repeats task 1; run it with `tasker-rb test spec/order_1_spec.rb`\n", r.stdout)
	p.isRuby("spec/order_1_spec.rb")
	r = p.run("tasks", "export", "1", "--spec", "spec/order_1_spec.rb")
	require.Equal(t, exitBadInput, r.code)
	require.Equal(t, "error: the file spec/order_1_spec.rb exists already\nhint: Name a new file, or remove that one.\n", r.stderr)

	r = p.run("tasks", "export", "1", "--spec=minitest", "--redact", "context.card.number", "--redact", "steps.charge.attempts[*].error.message")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "# Redacted: context.card.number, steps.charge.attempts[*].error.message. Put values in the places of \"[redacted]\"")
	require.Contains(t, r.stdout, "class Task1ShopOrderTest < Minitest::Test\n  def test_it_fails_in_charge_as_task_1_did\n")
	require.Contains(t, r.stdout, `context: { card: { number: "[redacted]" }`)
	require.Contains(t, r.stdout, "    assert_equal \"D1\", task.step(\"charge\").error.error_code\n  end\nend\n")
	require.NotContains(t, r.stdout, "4111")
}

func TestASpecOfACompleteTask(t *testing.T) {
	t.Parallel()
	p := declined(t)
	p.write(map[string]string{"good": ""})
	require.NoError(t, os.RemoveAll(filepath.Join(p.dir, "spec")))
	require.Zero(t, p.run("run", "order.yaml", "--env", "production").code)
	r := p.run("tasks", "export", "2", "--spec", "order_test.rb")
	require.Zero(t, r.code, r.stderr)
	p.isRuby("order_test.rb")
	content, err := os.ReadFile(filepath.Join(p.dir, "order_test.rb"))
	require.NoError(t, err)
	require.Contains(t, string(content), `class Task2ShopOrderTest < Minitest::Test
  def test_it_completes_as_task_2_did
    task = run_task(
      "shop/order",
      version: "1.0.0",
      env: "production",
      context: {}
    )

    assert_equal "complete", task.status
  end
end
`)
}

// A suite without a helper makes its tables in each file, as that of the tutorial does.
func TestASpecMakesTheTablesThatOtherTestsMake(t *testing.T) {
	t.Parallel()
	const other = "# the suite\nrequire \"tasker/testing\"\nload \"schema.rb\"\n\nclass OrderTest < Minitest::Test\nload \"never.rb\"\nend\n"
	p := newProject(t, map[string]string{
		"order.yaml":         one("Charge"),
		"schema.rb":          "Tasker.db.exec(\"CREATE TABLE IF NOT EXISTS stock (title text)\")\n",
		"handlers/charge.rb": "class Charge\n  def process(*)\n    Tasker.db.first(\"SELECT FROM stock\") or raise Tasker::PermanentError, \"sold out\"\n  end\nend\n",
		"test/a_test.rb":     "class ATest < Minitest::Test\nend\n", "test/other.rb": "load \"never.rb\"\n",
		"spec/spec_helper.rb": "",
	})
	require.Zero(t, p.run("ruby", "schema.rb").code)
	require.Equal(t, exitTaskFailed, p.run("run", "order.yaml").code)
	r := p.run("tasks", "export", "1", "--spec", "test/alone_test.rb")
	require.Zero(t, r.code, r.stderr)
	content, err := os.ReadFile(filepath.Join(p.dir, "test/alone_test.rb"))
	require.NoError(t, err)
	require.Contains(t, string(content), "require \"tasker/testing\"\n\n# The suite has a database of its own. If the handlers need tables, make them here, as in:\n#\n#   load \"schema.rb\"\n\nclass Task1")

	p.write(map[string]string{"test/order_test.rb": other})
	require.Zero(t, p.run("tasks", "export", "1", "--spec", "test/order1_test.rb").code)
	content, err = os.ReadFile(filepath.Join(p.dir, "test/order1_test.rb"))
	require.NoError(t, err)
	require.Contains(t, string(content), "require \"tasker/testing\"\n\n# As in order_test.rb: the tables of the handlers have to be in the suite's database.\nload \"schema.rb\"\n\nclass Task1")
	p.isRuby("test/order1_test.rb")

	p.url = "" // a database of the suite's own
	r = p.run("test", "test/order1_test.rb")
	require.Zero(t, r.code, r.stdout+r.stderr)
	r = p.run("test", "test/alone_test.rb")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Contains(t, r.stdout, "UndefinedTable")
}

func TestSpecsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := declined(t)
	p.write(map[string]string{"waiting.yaml": one("Reserve")})
	require.Zero(t, p.run("submit", "waiting.yaml").code)
	for _, c := range []struct {
		args        []string
		cause, hint string
	}{
		{[]string{"2", "--spec"}, "task 2 is pending, and no step of it has failed", "without --spec"},
		{[]string{"1", "--spec=cucumber"}, `--spec cannot be "cucumber"`, "rspec or minitest"},
		{[]string{"1", "--spec", "minitest"}, "minitest is not the name of a Ruby file", "--spec=minitest"},
		{[]string{"1", "--spec", "nowhere/order_spec.rb"}, "nowhere/order_spec.rb cannot be written: no such file or directory", "a folder that exists"},
		{[]string{"1", "order.json", "more"}, "one argument too many: more", "--help"},
		{[]string{"1", "order_spec.rb"}, "order_spec.rb is the name of a Ruby file", "--spec"},
		{[]string{"1", "order.yaml"}, "the file order.yaml exists already", "Name a new file"},
		{[]string{"1", "nowhere/order.json"}, "nowhere/order.json cannot be written: no such file or directory", "a folder that exists"},
	} {
		r := p.run(append([]string{"tasks", "export"}, c.args...)...)
		require.Equal(t, exitBadInput, r.code, r.stdout)
		require.Empty(t, r.stdout)
		require.Contains(t, r.stderr, "error: "+c.cause)
		require.Contains(t, r.stderr, c.hint)
	}
}

// The spec passes as long as the handler fails, and fails once it does not. That of a task
// that is complete passes, too.
func TestASpecOfATaskIsRun(t *testing.T) {
	t.Parallel()
	p := declined(t)
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "test"), 0o755))
	files := []string{"spec/order_1_spec.rb", "test/order_1_test.rb"}
	for _, file := range files {
		r := p.run("tasks", "export", "1", "--spec", file, "--output", "json")
		require.Zero(t, r.code, r.stderr)
		require.JSONEq(t, `{"task_id": 1, "file": "`+file+`", "framework": "`+map[string]string{"spec": "rspec", "test": "minitest"}[file[:4]]+`"}`, r.stdout)
	}
	url := p.url
	p.url = "" // a database of the suite's own
	for _, file := range files {
		r := p.run("test", file)
		require.Zero(t, r.code, r.stdout+r.stderr)
		require.Regexp(t, `1 (example|runs)`, r.stdout)
	}
	p.write(map[string]string{"good": ""})
	for _, file := range files {
		r := p.run("test", file)
		require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
		require.Contains(t, r.stdout, "complete")
	}
	p.url = url
	require.Zero(t, p.run("run", "order.yaml").code)
	require.Zero(t, p.run("tasks", "export", "2", "--spec", "spec/order_2_spec.rb").code)
	p.url = ""
	r := p.run("test", "spec/order_2_spec.rb")
	require.Zero(t, r.code, r.stdout+r.stderr)
}

// isRuby checks that Ruby takes the file without a warning.
func (p *project) isRuby(file string) {
	p.t.Helper()
	out, err := exec.Command(ruby(p.t), "-wc", filepath.Join(p.dir, file)).CombinedOutput()
	require.NoError(p.t, err, string(out))
	require.Equal(p.t, "Syntax OK\n", string(out))
}

// A literal is the document, as Ruby reads both.
func TestRubyLiterals(t *testing.T) {
	t.Parallel()
	documents := []string{
		`null`, `true`, `-7`, `1606938044258990275541962092341162602522202993782792835301376`, `0.10`, `-1.5e-7`, `1E5`, `1.0e+20`, `-0.0`,
		`""`, `"\"\\ #{x} #$x #@x # \n\t\r\u0000\u001b\u007f é 日本 😀 \u2028 \ufffd 'q'"`, `[]`, `{}`, `[[],{}]`,
		`{"a":1,"B":2,"c d":3,"":4,"é":5,"nil":6,"a?":7,"_x1":8,"1":9,"class":10}`, `{"twice":1,"other":2,"twice":3}`,
		`{"deep":` + strings.Repeat(`[{"name":"a long name for a line","more":[1,2.5,"three"]},`, 6) + `null` + strings.Repeat(`]`, 6) + `}`,
	}
	var data []string
	program := "require 'json'\nrequire 'bigdecimal'\n"
	for _, d := range documents {
		for _, symbols := range []bool{true, false} {
			text, err := rubyLiteral(json.RawMessage(d), "  ", symbols)
			require.NoError(t, err)
			for line := range strings.SplitSeq(text, "\n") {
				require.Less(t, len(line), 300)
			}
			quoted, err := json.Marshal(d)
			require.NoError(t, err)
			program += "here = JSON.generate([" + text + "])\nthere = JSON.generate([JSON.parse(JSON.parse(DATA.gets))])\nabort \"#{here}\\n#{there}\" unless here == there\n"
			data = append(data, string(quoted))
		}
	}
	file := filepath.Join(t.TempDir(), "literals.rb")
	require.NoError(t, os.WriteFile(file, []byte(program+"puts :same\n__END__\n"+strings.Join(data, "\n")+"\n"), 0o600))
	out, err := exec.Command(ruby(t), "-w", file).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "same\n", string(out))

	text, err := rubyLiteral(json.RawMessage(`[1e400]`), "", true)
	require.NoError(t, err)
	require.Equal(t, `[BigDecimal("1e400")]`, text)
	_, err = rubyLiteral(json.RawMessage(`{"a":`), "", true)
	require.ErrorContains(t, err, "unexpected EOF")
}

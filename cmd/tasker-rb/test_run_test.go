package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// charge is a handler with a line that no example runs.
const charge = `module Shop
  class Charge < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      if task.context[:amount] > 0
        { charged: task.context[:amount] }
      else
        { charged: 0 }
      end
    end
  end
end
`

// suiteFiles is a project with suites of both frameworks.
func suiteFiles() map[string]string {
	return map[string]string{
		"order.yaml":              "name: order\nstep_templates:\n  - {name: charge, handler_class: \"Shop::Charge\"}\n",
		"settings.yml":            "name: no template\n",
		"handlers/shop/charge.rb": charge,
		"spec/charge_spec.rb": `RSpec.describe Shop::Charge do
  it "charges" do
    expect(Tasker::Testing.run(described_class, context: { amount: 3 })).to eq("charged" => 3)
  end

  it "has the database under test" do
    expect(Tasker.db.first("SELECT count(*) AS n FROM tasker.tasks")["n"]).to eq(0)
    Tasker.db.exec("CREATE TABLE things (name text)")
    puts ENV.fetch("DATABASE_URL")
  end
end
`,
		"test/charge_test.rb": `require "test_helper"
class Shop::ChargeTest < Minitest::Test
  def test_charges = assert_equal({ "charged" => 3 }, Tasker::Testing.run(Shop::Charge, context: { amount: 3 }))
  def test_database = assert_equal(0, Tasker.db.first("SELECT count(*) AS n FROM tasker.tasks")["n"])
end
`,
		"test/test_helper.rb": "HELPED = true\n",
	}
}

// newSuite writes the files. The database is a private one.
func newSuite(t *testing.T, files map[string]string) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir()}
	all := suiteFiles()
	for name, content := range files {
		all[name] = content
	}
	p.write(all)
	return p
}

func TestASuiteOfRSpec(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{".rspec": "--require spec_helper\n", "spec/spec_helper.rb": "puts 'helped'\n"})
	r := p.run("test")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Empty(t, r.stderr)
	require.True(t, strings.HasPrefix(r.stdout, "helped\n"), r.stdout)
	require.Contains(t, r.stdout, "2 examples, 0 failures")
	require.Contains(t, r.stdout, "postgres://")

	r = p.run("test", "spec/charge_spec.rb:2", "--", "--format", "documentation", "--seed", "7")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "Shop::Charge\n  charges\n")
	require.Contains(t, r.stdout, "1 example, 0 failures")
	require.Contains(t, r.stdout, "Randomized with seed 7")
}

func TestASuiteOfMinitest(t *testing.T) {
	t.Parallel()
	p := newSuite(t, nil)
	r := p.run("test", "test", "--", "--seed", "7", "-v")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Empty(t, r.stderr)
	require.Contains(t, r.stdout, "Run options: --seed 7 -v\n")
	require.Contains(t, r.stdout, "Shop::ChargeTest#test_database = ")
	require.Contains(t, r.stdout, "2 runs, 2 assertions, 0 failures, 0 errors, 0 skips")

	r = p.run("test", "test/charge_test.rb", "--", "--name", "/charges/")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "1 runs, 1 assertions")

	require.NoError(t, os.RemoveAll(filepath.Join(p.dir, "spec")))
	r = p.run("test")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "2 runs, ")
}

// The pattern of an .rspec is RSpec's own affair.
func TestAPatternOfRSpec(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{".rspec": "--pattern spec/*.spec.rb\n", "spec/a.spec.rb": "RSpec.describe('a') { it('is found') { } }\n"})
	for _, parallel := range []string{"1", "2"} {
		r := p.run("test", "--parallel", parallel)
		require.Zero(t, r.code, r.stdout+r.stderr)
		require.Contains(t, r.stdout, "1 example, 0 failures")
	}
}

// The files of minitest/spec may be in the folder spec, and be called like RSpec's.
func TestASuiteOfMinitestInTheFolderOfRSpec(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{
		"spec/charge_spec.rb": "require \"minitest/autorun\"\ndescribe Shop::Charge do\n  it(\"is there\") { _(Shop::Charge.name).must_equal \"Shop::Charge\" }\nend\n",
	})
	r := p.run("test")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "1 runs, 1 assertions, 0 failures")
}

// A constant of a handler is found from within modules, too. What gems ask for in vain loads
// nothing.
func TestHandlersAreLoadedByNeed(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{
		"handlers/loaded.rb": "$loaded = true\n",
		"spec/a_spec.rb": `module Probing
  Nothing = begin
    Nobody::Here
  rescue NameError => e
    [e.name, $loaded]
  end
end
$before = $loaded
module Shop
  module Checks
    RSpec.describe(Charge) do
      it("is found") { expect([described_class.name, $before, $loaded, Probing::Nothing]).to eq(["Shop::Charge", nil, true, [:Nobody, nil]]) }
      it("is not kept") { expect { Shop::Nobody }.to(raise_error(NameError) { |e| expect(e.backtrace.first).to start_with(__FILE__) }) }
    end
  end
end
`,
		"spec/b_spec.rb": "RSpec.describe('without a name') { it('is loaded') { expect($loaded).to be(true) } }\n",
		"spec/c_spec.rb": "require 'shop/charge'\nRSpec.describe('required') { it('is one') { expect(Shop::Charge.instance_methods(false)).to eq([:process]) } }\n",
	})
	for _, file := range []string{"spec/a_spec.rb", "spec/b_spec.rb", "spec/c_spec.rb"} {
		r := p.run("test", file)
		require.Zero(t, r.code, r.stdout+r.stderr)
	}
}

func TestTheEndOfASuite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, content string
		code                int
		stdout, stderr      string
	}{
		{"FailingExample", "spec/a_spec.rb", "RSpec.describe('x') { it('fails') { expect(1).to eq(2) } }\n", 1, "1 example, 1 failure", ""},
		{"FailingTest", "test/a_test.rb", "class A < Minitest::Test\n  def test_it = assert_equal(1, 2)\nend\n", 1, "1 runs, 1 assertions, 1 failures", ""},
		{"SyntaxErrorInASpec", "spec/a_spec.rb", "RSpec.describe 'x' do\n", 1, "1 error occurred outside of examples", ""},
		{"SyntaxErrorInATest", "test/a_test.rb", "class A < Minitest::Test\n", 1, "", `test/a_test\.rb:1: syntax error`},
		{"ExitInASpec", "spec/a_spec.rb", "exit 3\n", 3, "", ""},
		{"ExitInATest", "test/a_test.rb", "exit 3\n", 3, "", ""},
		{"ExitCodeOfRSpec", "spec/a_spec.rb", "RSpec.configure { |c| c.failure_exit_code = 7 }\nRSpec.describe('x') { it('fails') { raise } }\n", 7, "1 failure", ""},
		{"AtExit", "spec/a_spec.rb", "at_exit { puts \"last of #{$!.inspect}\" }\nRSpec.describe('x') { it('fails') { raise } }\n", 1, "last of #<SystemExit: exit>\n", ""},
		{"AutorunOfRSpec", "spec/a_spec.rb", "require 'rspec'\nRSpec::Core::Runner.disable_autorun!\nRSpec.describe('x') { it('is once') { puts 'once' } }\n", 0, "1 example, 0 failures", ""},
		{"ConstantOfNobody", "spec/a_spec.rb", "RSpec.describe(Shop::Nobody) { }\n", 1, "uninitialized constant Shop::Nobody", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newSuite(t, map[string]string{c.file: c.content})
			r := p.run("test", c.file)
			require.Equal(t, c.code, r.code, r.stdout+r.stderr)
			require.Contains(t, r.stdout, c.stdout)
			require.Regexp(t, c.stderr, r.stderr)
			if c.stderr == "" {
				require.Empty(t, r.stderr)
			}
		})
	}
}

func TestSuitesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		files       map[string]string
		args        []string
		env         []string
		cause, hint string
	}{
		{name: "NoSuchPath", args: []string{"nowhere"}, cause: "there is no file or folder nowhere", hint: "Name files"},
		{name: "NoTestsInIt", files: map[string]string{"other/x.rb": ""}, args: []string{"other"}, cause: "there is no test in the folder other", hint: "_spec.rb"},
		{name: "TwoFrameworks", args: []string{"spec", "test"}, cause: "are of different frameworks", hint: "name the folders"},
		{name: "NoName", files: map[string]string{"other/x.rb": ""}, args: []string{"other/x.rb"}, cause: "does not say which framework", hint: "x_spec.rb"},
		{name: "NoPlaceInMinitest", args: []string{"test/charge_test.rb:3"}, cause: "test/charge_test.rb:3 names a place in a file", hint: "-- --name"},
		{name: "NoTemplates", args: []string{"--templates", "nowhere"}, cause: "--templates nowhere: there is no such folder", hint: "Name the folder"},
		{name: "NoHandlers", args: []string{"--handlers", "nowhere"}, cause: "--handlers nowhere: no such file", hint: "Name the folder"},
		{name: "NoThreads", args: []string{"--threads", "1"}, cause: "--threads cannot be 1", hint: "from 2"},
		{name: "NoProcesses", args: []string{"--parallel", "0"}, cause: "--parallel cannot be 0", hint: "from 1"},
		{name: "NotInTheGemfile", files: map[string]string{"Gemfile": ""}, args: []string{"--gemfile", "Gemfile", "spec"}, cause: "RSpec is not in Gemfile", hint: "bundle install"},
		{name: "NotInstalled", files: map[string]string{"Gemfile": "", "none/rspec/core.rb": "raise LoadError.new('x').tap { |e| e.define_singleton_method(:path) { 'rspec/core' } }"},
			args: []string{"-I", "none", "spec"}, cause: "RSpec is not installed", hint: "Give --gemfile Gemfile"},
		{name: "NoTestsDatabase", env: []string{"DATABASE_URL=postgres://127.0.0.1:1/shop"}, cause: "DATABASE_URL names the database shop", hint: "shop_test"},
		{name: "NoServer", env: []string{"DATABASE_URL=postgres://127.0.0.1:1/shop_test"}, cause: "cannot be reached", hint: "Start that server"},
		{name: "BadTemplate", files: map[string]string{"order.yaml": "name: order\nstep_templates:\n  - {name: charge}\n"}, cause: "order.yaml:3:", hint: "handler_class"},
		{name: "NoClass", files: map[string]string{"order.yaml": "name: order\nstep_templates:\n  - {name: charge, handler_class: Shop::Chrge}\n"},
			cause: "order.yaml:3:", hint: "Correct handler_class:"},
		{name: "HandlerThatDoesNotLoad", files: map[string]string{"handlers/shop/broken.rb": "class Broken < Nowhere; end\n"}, cause: "handlers/shop/broken.rb:1: uninitialized constant Nowhere", hint: "--require FILE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newSuite(t, c.files)
			p.env = c.env
			r := p.run(append([]string{"test"}, c.args...)...)
			require.Equal(t, exitBadInput, r.code, r.stdout+r.stderr)
			require.Empty(t, r.stdout)
			lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
			require.Len(t, lines, 2, r.stderr)
			require.Regexp(t, `^error: .`, lines[0])
			require.Contains(t, lines[0], c.cause)
			require.Regexp(t, `^hint: .`, lines[1])
			require.Contains(t, lines[1], c.hint)
		})
	}
	t.Run("NoHandlers", func(t *testing.T) {
		t.Parallel()
		p := &project{t: t, dir: t.TempDir()}
		p.write(map[string]string{"order.yaml": one("Shop::Charge"), "spec/a_spec.rb": "", "templates/mail.yaml": "subject: none of ours\n"})
		r := p.run("test")
		require.Equal(t, exitBadInput, r.code)
		require.Equal(t, "error: there is no folder handlers or app/handlers, and none called handlers beside the templates\n"+
			"hint: Say where the handlers are with --handlers DIR.\n", r.stderr)
	})
	t.Run("NoFolder", func(t *testing.T) {
		t.Parallel()
		p := &project{t: t, dir: t.TempDir()}
		r := p.run("test")
		require.Equal(t, exitBadInput, r.code)
		require.Contains(t, r.stderr, "error: there is no folder spec or test here\nhint: ")
		p.write(map[string]string{"spec/spec_helper.rb": ""})
		require.Contains(t, p.run("test").stderr, "error: there is no test in the folder spec\nhint: ")
	})
}

// The check lists all problems, those of the templates and the missing classes.
func TestTheCheckBeforeASuiteListsAll(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{
		"templates/a.yaml": "name: a\nstep_templates:\n  - {name: x, handler_class: Gone}\n",
		"templates/b.yaml": "name: b\nstep_templates:\n  - {name: x}\n",
	})
	r := p.run("test")
	require.Equal(t, exitBadInput, r.code)
	require.Empty(t, r.stdout)
	require.Contains(t, r.stderr, "templates/a.yaml:3:30: the handler of step x: there is no class Gone")
	require.Contains(t, r.stderr, "templates/b.yaml:3:")

	p.write(map[string]string{"handlers/shop/broken.rb": "class Broken < Nowhere; end\n"})
	r = p.run("test")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, "templates/b.yaml:3:")
	require.Contains(t, r.stderr, "handlers/shop/broken.rb:1: uninitialized constant Nowhere")
}

func TestASuiteOnADatabaseOfOnesOwn(t *testing.T) {
	t.Parallel()
	p := newSuite(t, nil)
	p.url = pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate)) // its name has _test in it
	r := p.run("test", "spec")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, forRuby(p.url))
	r = p.run("ruby", "-e", "p Tasker.db.first('SELECT count(*) AS n FROM things')['n']")
	require.Equal(t, "0\n", r.stdout, r.stderr)
}

// What --require names may make the handlers' tables: for the check and for the suite, each
// in a new database.
func TestTheTablesOfHandlers(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{
		"db/schema.rb":        "Tasker.db.exec('CREATE TABLE cards (number text)')\n",
		"handlers/card.rb":    "module Card\n  COLUMNS = Tasker.db.exec('SELECT * FROM cards').class.name\nend\n",
		"handlers/other.rb":   "Tasker.db.exec('SELECT * FROM cards')\n",
		"spec/card_spec.rb":   "RSpec.describe(Card) { it('has columns') { expect(Card::COLUMNS).to eq('Tasker::DB::Rows') } }\n",
		"spec/spec_helper.rb": "Tasker.db.exec('CREATE TABLE cards (number text)') unless $LOADED_FEATURES.grep(/schema/).any?\n",
	})
	r := p.run("test", "--require", "./db/schema.rb", "spec/card_spec.rb")
	require.Zero(t, r.code, r.stdout+r.stderr)
	r = p.run("test", "spec/card_spec.rb", "--", "--require", "spec_helper")
	require.Zero(t, r.code, r.stdout+r.stderr)
	r = p.run("test", "spec/card_spec.rb")
	require.Equal(t, 1, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, `relation "cards" does not exist`)
}

// Connections that a suite makes itself, by the address in its environment.
func TestConnectionsOfASuitesOwn(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{
		"spec/own_spec.rb": `require "active_record"
require "sequel"
require "pg"
RSpec.describe "connections" do
  before(:all) { Tasker.db.exec("CREATE TABLE things (name text)") }
  it("pg") { PG.connect(ENV["DATABASE_URL"]).exec("INSERT INTO things VALUES ('pg')") }
  it("sequel") { Sequel.connect(ENV["DATABASE_URL"])[:things].insert(name: "sequel") }
  it("active_record") { ActiveRecord::Base.establish_connection(ENV["DATABASE_URL"]); ActiveRecord::Base.connection.execute("INSERT INTO things VALUES ('ar')") }
  it("ours") { Tasker.sequel[:things].insert(name: "ours") }
  after(:all) { puts Tasker.db.first("SELECT string_agg(name, ' ' ORDER BY name) AS names FROM things")["names"] }
end
`})
	r := p.run("test", "spec/own_spec.rb")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "ar ours pg sequel\n")
	r = p.run("test", "spec/own_spec.rb", "spec/charge_spec.rb", "--parallel", "2")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "ar ours pg sequel\n")
}

func TestTheCoverageOfHandlers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ framework, helper, path string }{
		{"rspec", "spec/spec_helper.rb", "spec"},
		{"minitest", "test/test_helper.rb", "test"},
	} {
		t.Run(c.framework, func(t *testing.T) {
			t.Parallel()
			p := newSuite(t, map[string]string{c.helper: "require \"simplecov\"\nSimpleCov.start { add_filter %r{^/(spec|test)/} }\n", ".rspec": "--require spec_helper\n"})
			r := p.run("test", c.path)
			require.Zero(t, r.code, r.stdout+r.stderr)
			require.Contains(t, r.stdout, "5 / 6 LOC (83.33%) covered")
			content, err := os.ReadFile(filepath.Join(p.dir, "coverage/.resultset.json"))
			require.NoError(t, err)
			require.Contains(t, strings.Join(strings.Fields(string(content)), ""), `handlers/shop/charge.rb":{"lines":[1,1,1,1,1,null,0,null,null,null,null]`)
		})
	}
}

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The suites of the examples, as their READMEs say to run them.
func TestTheSuitesOfTheExamples(t *testing.T) {
	t.Parallel()
	examples, err := filepath.Abs("../../templates/examples")
	require.NoError(t, err)
	folders, err := os.ReadDir(examples)
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(folder.Name(), func(t *testing.T) {
			t.Parallel()
			p := &project{t: t, dir: filepath.Join(examples, folder.Name())}
			r := p.run("test")
			require.Zero(t, r.code, r.stdout+r.stderr)
			requireQuiet(t, r)
			require.Regexp(t, `[1-9]\d* (examples|runs), .*\b0 failures`, r.stdout)
		})
	}
}

// The first suite of the guide, as docs/testing.md has it.
func TestTheFirstSuiteOfTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	files := map[string]string{}
	for _, block := range namedBlock.FindAllStringSubmatch(string(guide), -1) {
		files[block[1]] = block[2]
	}
	require.Len(t, files, 4)
	p := &project{t: t, dir: t.TempDir()}
	p.write(files)
	r := p.run("test")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "2 examples, 0 failures")
	r = p.run("test", "test")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "1 runs, 2 assertions, 0 failures")
}

// namedBlock matches a block of code that begins with the name of its file.
var namedBlock = regexp.MustCompile("(?s)```(?:ruby|yaml)\n# (\\S+\\.(?:rb|yaml))\n(.*?)```")

// taskSuite is a project whose steps take time, fail, and write to tables.
func taskSuite() map[string]string {
	return map[string]string{
		"templates/order.yaml": `name: order
namespace_name: shop
step_templates:
  - name: charge
    handler_class: Shop::Charge
    timeout_seconds: 60
    default_retry_limit: 5
    backoff: {max_seconds: 2592000}
  - name: ship
    handler_class: Shop::Ship
    depends_on_step: charge
`,
		"handlers/shop/charge.rb": `module Shop
  class Busy < StandardError; end
  class Charge < Tasker::StepHandler::Base
    def process(task, _sequence, step)
      case task.context[:how]
      when "later" then raise Tasker::RetryableError.new("in 30 days", retry_after: 30 * 86_400) if step.attempts == 1
      when "date" then raise Tasker::RetryableError.new("on a date", retry_after: Time.now + 3600) if step.attempts == 1
      when "sleep" then sleep 30 if step.attempts == 1
      when "card" then Gateway.charge
      end
      row = Tasker.db.first("INSERT INTO charges (cents, at) VALUES ($1, now()) RETURNING id", [task.context.fetch(:cents, 1)])
      { charge: row["id"], at: Time.now.to_i }
    end
  end
end
`,
		"handlers/shop/gateway.rb": `require "socket"
module Shop
  module Gateway
    def self.charge
      socket = TCPSocket.new("127.0.0.1", Integer(ENV.fetch("GATEWAY_PORT")))
      socket.puts("charge")
      socket.close
    end
  end
end
`,
		"handlers/shop/ship.rb": `module Shop
  class Ship < Tasker::StepHandler::Base
    def process(task, sequence, _step)
      Tasker.db.exec("INSERT INTO parcels (charge_id) VALUES ($1)", [sequence.get_results("charge")["charge"]])
      nil
    end
  end
end
`,
		"helper.rb": `require "tasker/testing"
Tasker.db.exec(<<~SQL)
  CREATE TABLE charges (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cents int NOT NULL, at timestamptz NOT NULL);
  CREATE TABLE parcels (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, charge_id bigint NOT NULL REFERENCES charges);
SQL
`,
	}
}

func newTaskSuite(t *testing.T, files map[string]string) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir()}
	p.write(taskSuite())
	p.write(files)
	return p
}

// One suite under both frameworks: waits, timeouts and crashes take no time.
const bothFrameworks = `EXAMPLES = proc do
  example_of "a retry after 30 days" do
    task = run_task("order", context: { how: "later" })
    same(task.status, "complete")
    same(task.step("charge").attempts, 2)
    same((Time.at(task.step("charge").results["at"]) - now).round / 86_400, 30)
    same(Tasker.db.first("SELECT count(*) AS n FROM charges WHERE at > $1", [now + 29 * 86_400])["n"], 1)
  end

  example_of "a Retry-After date" do
    task = run_task("order", context: { how: "date" })
    same(task.status, "complete")
    same(task.step("charge").attempts, 2)
  end

  example_of "a timeout in sleep" do
    timeout_step "charge", at: :sleep
    task = run_task("order", context: { how: "sleep" })
    same(task.status, "complete")
    same(task.step("charge").tries.map { |t| t.error&.class_name }, ["Tasker::StepTimeout", nil])
  end

  example_of "a timeout at a statement" do
    timeout_step "charge", at: { statement: 1 }
    same(run_task("order").step("charge").attempts, 2)
  end

  example_of "a failure and a crash" do
    fail_step "charge", with: Shop::Busy, times: 2
    kill_host during: "ship"
    task = run_task("order")
    same(task.status, "complete")
    same(task.step("charge").tries.map { |t| t.error&.class_name }, ["Shop::Busy", "Shop::Busy", nil])
    same(task.step("ship").losses, 1)
    same(Tasker.db.first("SELECT count(*) AS n FROM parcels")["n"], 1)
  end

  example_of "a process that is killed" do
    kill_host before: "charge", real: true
    kill_host during: "ship", real: true
    task = run_task("order")
    same(task.status, "complete")
    same([task.step("charge").losses, task.step("ship").losses], [1, 1])
    same(Tasker.db.first("SELECT count(*) AS n FROM charges")["n"], 1)
    same(Tasker.db.first("SELECT count(*) AS n FROM parcels")["n"], 1)
  end

  example_of "a lost connection, and a lost answer" do
    lose_connection "charge", at: { statement: 1 }
    lose_commit_answer "ship"
    task = run_task("order")
    same(task.status, "complete")
    same(Tasker.db.first("SELECT count(*) AS n FROM parcels")["n"], 1)
  end

  example_of "two workers" do
    same(run_task("order", workers: 2).status, "complete")
  end

  example_of "stubs" do
    same(run_task("order", stubs: { charge: { charge: nil }, ship: { shipped: true } }).step("ship").results["shipped"], true)
  end

  example_of "a step alone" do
    step = run_step(Shop::Charge, context: { cents: 7 }, attempt: 3)
    same(step.status, "complete")
    same(step.attempts, 3)
    same(run_step("charge", context: { cents: 7 }).results["charge"], 2)
  end

  example_of "once, wherever it dies" do
    assert_exactly_once("order") do
      { charges: Tasker.db.exec("SELECT * FROM charges"), parcels: Tasker.db.exec("SELECT * FROM parcels") }
    end
  end

  example_of "the history in order" do
    fail_step "charge", with: Shop::Busy
    history = run_task("order").history
    same(history.first.to, "pending")
    same(history.map { |entry| [entry.step, entry.to] } .uniq - [[nil, "pending"]], [
      [nil, "in_progress"], %w[charge in_progress], %w[charge waiting_for_retry], %w[charge complete],
      %w[ship in_progress], %w[ship complete], [nil, "complete"]
    ])
  end

  example_of "an empty database" do
    same(Tasker.db.first("SELECT count(*) AS n FROM charges")["n"], 0)
    same(Tasker.db.first("SELECT count(*) AS n FROM tasker.tasks")["n"], 0)
  end
end
`

func TestTasksUnderRSpecAndMinitest(t *testing.T) {
	t.Parallel()
	p := newTaskSuite(t, map[string]string{
		"examples.rb": bothFrameworks,
		"spec/order_spec.rb": `require_relative "../helper"
require_relative "../examples"
RSpec.describe "order" do
  def self.example_of(name, &) = it(name, &)
  def same(got, wanted) = expect(got).to(eq(wanted))
  def now = Time.utc(2030, 1, 1)
  before { travel_to now }
  class_exec(&EXAMPLES)
end
`,
		"test/order_test.rb": `require_relative "../helper"
require_relative "../examples"
class OrderTest < Minitest::Test
  def self.example_of(name, &) = define_method("test_#{name}", &)
  def same(got, wanted) = assert([wanted].include?(got), "#{got.inspect} is not #{wanted.inspect}")
  def now = Time.utc(2030, 1, 1)
  def setup = travel_to(now)
  class_exec(&EXAMPLES)
end
`,
	})
	for _, folder := range []string{"spec", "test"} {
		r := p.run("test", folder)
		require.Zero(t, r.code, r.stdout+r.stderr)
		require.Regexp(t, `13 (examples|runs), .*\b0 failures`, r.stdout)
		requireQuiet(t, r)
	}
}

// requireQuiet checks that a suite says nothing beside the framework, but for the sentences
// of assert_exactly_once.
func requireQuiet(t *testing.T, r result) {
	t.Helper()
	for line := range strings.Lines(r.stderr) {
		require.Contains(t, line, " does everything exactly once: ")
	}
}

// A suite may change its folder: templates stay where they were, and so does the process
// that is to be killed.
func TestASuiteChangesItsFolder(t *testing.T) {
	t.Parallel()
	p := newTaskSuite(t, map[string]string{"elsewhere/nothing.txt": "", "spec/order_spec.rb": `require_relative "../helper"
Dir.chdir("elsewhere")
RSpec.describe "order" do
  it "finds its template" do
    kill_host during: "ship", real: true
    expect(run_task("order")).to be_complete
    expect(run_task("templates/order.yaml")).to be_complete
  end
end
`})
	r := p.run("test")
	require.Zero(t, r.code, r.stdout+r.stderr)
}

// A process that is to be killed has the stubs of the test, but for Procs, and its time.
func TestAProcessThatIsKilledHasStubsAndTime(t *testing.T) {
	t.Parallel()
	p := newTaskSuite(t, map[string]string{"templates/pay.yaml": `name: pay
step_templates:
  - {name: look, handler_class: Shop::Look}
  - {name: pay, handler_class: Shop::Look, depends_on_step: look}
  - {name: note, handler_class: Shop::Look, depends_on_step: pay}
`, "handlers/shop/look.rb": `module Shop
  class Look < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      { ruby: Time.now.year, sql: Tasker.db.first("SELECT extract(year FROM now())::int AS year")["year"], pid: Process.pid }
    end
  end
end
`, "spec/pay_spec.rb": `require_relative "../helper"
RSpec.describe "pay" do
  it "is killed in its last step" do
    travel_to Time.utc(2040, 6, 1)
    kill_host before: "note", real: true
    task = run_task("pay", stubs: { pay: { paid: "x" * 200_000 } })
    expect(task.step("look").results).to include("ruby" => 2040, "sql" => 2040)
    expect(task.step("look").results["pid"]).not_to eq(Process.pid)
    expect(task.step("pay").results["paid"].size).to eq(200_000)
    expect(task.step("note").losses).to eq(1)
  end
end
`})
	r := p.run("test")
	require.Zero(t, r.code, r.stdout+r.stderr)
}

// A card that is charged outside the database is charged again after a crash.
func TestAnEffectOutsideTheDatabaseIsCaught(t *testing.T) {
	t.Parallel()
	p := newTaskSuite(t, map[string]string{"spec/order_spec.rb": `require_relative "../helper"
require "socket"
RSpec.describe "order" do
  it "charges the card once" do
    server = TCPServer.new("127.0.0.1", 0)
    ENV["GATEWAY_PORT"] = server.addr[1].to_s
    accepting = Thread.new { loop { server.accept.close } }
    assert_exactly_once("order", context: { how: "card" }) { Tasker.db.exec("SELECT * FROM charges") }
  ensure
    accepting&.kill
  end

  it "allows what is asked for" do
    server = TCPServer.new("127.0.0.1", 0)
    ENV["GATEWAY_PORT"] = server.addr[1].to_s
    accepting = Thread.new { loop { server.accept.close } }
    assert_exactly_once("order", context: { how: "card" }, allow: [:socket]) { Tasker.db.exec("SELECT * FROM charges") }
  ensure
    accepting&.kill
  end
end
`})
	r := p.run("test")
	require.Equal(t, 1, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "2 examples, 1 failure")
	require.Contains(t, r.stdout, "handlers/shop/gateway.rb:5")
	require.Contains(t, r.stdout, "order charges the card once")
}

func TestBadInputOfTasks(t *testing.T) {
	t.Parallel()
	p := newTaskSuite(t, map[string]string{"spec/order_spec.rb": `require_relative "../helper"
RSpec.describe "order" do
  it("1") { run_task("ordr") }
  it("2") { run_task("order", stubs: { chrge: {} }) }
  it("3") { run_task("order", stubs: { charge: { charge: 1 } }, context: { how: 1 }).step("shp") }
  it("4") { fail_step "chrge", with: "no"; run_task("order") }
  it("5") { timeout_step "ship", at: :start; run_task("order") }
  it("6") { assert_exactly_once("order", points: ["chrge"]) { [] } }
  it("7") { run_task("nowhere/order.yaml") }
  it("8") { timeout_step "charge", at: { statement: 9 }; run_task("order") }
end
`})
	r := p.run("test", "--", "--order", "defined")
	require.Equal(t, 1, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "8 examples, 8 failures")
	for _, line := range []string{
		`there is no template "ordr"`, `Did you mean "order"`, `"chrge"`, `Did you mean "charge"`, "shp", "ship has no timeout", "timeout_seconds",
		"there is no template file nowhere/order.yaml", `timeout_step "charge" (statement 9) met no attempt: the step has begun once`,
	} {
		require.Contains(t, r.stdout, line)
	}
	require.NotContains(t, r.stdout, "testbed:")
}

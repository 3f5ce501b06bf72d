# frozen_string_literal: true

require_relative "fake_engine"

# A fake engine with a fake database. Each attempt has a transaction, and can be made to
# die at a point, as the real engine can.
class CrashingEngine < FakeEngine
  class Crash < Exception; end # rubocop:disable Lint/InheritException

  class << self
    attr_accessor :current
  end

  attr_reader :database, :runs

  def initialize
    super
    @database = { rows: Hash.new { |tables, name| tables[name] = [] }, sequences: Hash.new(0) }
    @runs = 0
    CrashingEngine.current = self
  end

  # Called by handlers: one statement.
  def insert(table, row)
    statement("INSERT INTO #{table}") do
      id = @database[:sequences][table] += 1 # not rolled back
      @transaction[table] << { "id" => id, **row.transform_keys(&:to_s) }
      id
    end
  end

  # Commits at once, outside the step's transaction.
  def insert_at_once(table, row)
    @database[:rows][table] += [row.transform_keys(&:to_s)]
    @transaction[table] += [row.transform_keys(&:to_s)]
  end

  def insert_at_once_into(table)
    @database[:rows][table] += [{ "id" => 1 }]
  end

  def rows(table) = copy(@database[:rows][table])

  private

  # The same in each run, and another one for each attempt, as the real engine's.
  def step_begin(request) = super.merge("seed" => "#{request["step"]} #{request["attempt"]}".sum)

  def save(_request)
    @saved = copy(@database)
    { "id" => 7 }
  end

  def restore(request)
    raise "no such id" unless request["id"] == 7

    @database = copy(@saved)
    @database[:sequences] = Hash.new(1).merge(@database[:sequences].transform_values { |last| last + 1 }) if request["gap"]
    {}
  end

  def copy(value)
    Marshal.load(Marshal.dump(value.is_a?(Hash) ? value.transform_values { |v| v.is_a?(Hash) ? v.to_a : v } : value))
           .then { |c| c.is_a?(Hash) && c.key?(:rows) ? { rows: Hash.new { |t, n| t[n] = [] }.merge(c[:rows].to_h), sequences: Hash.new(0).merge(c[:sequences].to_h) } : c }
  end

  def run_task(request)
    @runs += 1
    @trace = []
    @crash = request["crash"]
    @reached = false
    super.merge("trace" => @trace, "reached" => @crash && @reached)
  end

  def effect(request)
    @trace << request.slice("step", "attempt", "detail", "place", "key").merge("kind" => "effect", "effect" => request["kind"])
    {}
  end

  def attempt(step, definition)
    @step = definition.name
    @number = step["attempts"] + 1
    @statements = 0
    @transaction = copy(@database)[:rows]
    super
    die_at("commit", nil, "after") { step["losses"] }
  rescue Crash
    @trace << entry("crash")
    step["status"] == "complete" || step["status"] = "waiting_for_retry"
  end

  def run_handler(definition, number)
    die_at("begin", nil, "before")
    @trace << entry("begin")
    value = super
    die_at("commit", nil, "before")
    @database[:rows] = @transaction
    @trace << entry("commit")
    value
  end

  def statement(sql)
    @statements += 1
    die_at("statement", @statements, "before")
    value = yield
    @trace << entry("statement").merge("number" => @statements, "sql" => sql)
    die_at("statement", @statements, "after")
    value
  end

  def die_at(at, number, side)
    return unless @crash == { "step" => @step, "attempt" => @number, "at" => at, "number" => number, "side" => side }

    @reached = true
    raise Crash
  end

  def entry(kind) = { "kind" => kind, "step" => @step, "attempt" => @number }
end

# frozen_string_literal: true

require_relative "testing_helper"
require_relative "crashing_engine"
require "securerandom"
require "fileutils"

class TestingExactlyOnceTest < Minitest::Test
  include TestingHelper

  def setup
    super
    @engine = CrashingEngine.new
    Tasker::Testing::Service.transport = @engine
    FileUtils.rm_f(FILE)
  end

  FILE = File.join(Dir.tmpdir, "tasker_exactly_once_#{$$}")
  DB = -> { CrashingEngine.current }

  class Reserve < Tasker::StepHandler::Base
    def process(task, *)
      id = DB.call.insert("orders", number: task.context[:number], at: Time.now, token: SecureRandom.hex)
      DB.call.insert("lines", order_id: id, sku: "a")
      DB.call.insert("lines", order_id: id, sku: "b")
      { id: id }
    end
  end

  class Charge < Tasker::StepHandler::Base
    def process(_task, sequence, _step)
      { payment: DB.call.insert("payments", order_id: sequence.get_results("reserve")["id"], cents: 5) }
    end
  end

  def order(charge = Charge)
    @engine.step("reserve", Reserve)
    @engine.step("charge", charge, after: ["reserve"])
  end

  def check(**more, &block)
    block ||= -> { %w[orders lines payments].to_h { |table| [table, @engine.rows(table).shuffle] } }
    assert_exactly_once("order", context: { number: 7 }, **more, &block)
  end

  def failure(**more, &block)
    assert_raises(Minitest::Assertion) { check(**more, &block) }.message
  end

  def test_each_point_of_crash_is_tried
    order
    result = check

    # begin, before and after each statement, around the commit
    assert_equal (1 + 6 + 2) + (1 + 2 + 2), result.passed
    assert_equal 2 + result.passed, @engine.runs
    assert_equal @engine.asked("run_task").map { |request| request["crash"] }.compact.uniq.size, result.passed
    assert_equal [true], @engine.asked("run_task").map { |request| request["serial"] }.uniq
    assert_equal 0, result.left_out
    assert_equal ["orders.at (read from the clock)"], result.not_compared
    assert_equal "order does everything exactly once: 14 points of crash passed; not compared: orders.at (read from the clock)", result.to_s
    assert_equal 1, Tasker::Testing::Example.current.tasks.size
  end

  def test_points_may_be_chosen
    order
    assert_equal 8, check(points: :statements).passed
    assert_equal 5, check(points: "charge").passed
    assert_equal 2, check(points: [:commits, "charge"]).passed
    result = check(cap: 5)
    assert_equal [5, 9], [result.passed, result.left_out]
    assert_match(/9 were left out/, result.to_s)
    assert_match(/names chrge, but no such step has run; did you mean charge\?/, assert_raises(Tasker::Testing::Error) { check(points: "chrge") }.message)
    assert_raises(ArgumentError) { check(cap: 0) }
    assert_raises(ArgumentError) { check(allow: [:htp]) }
  end

  class ChargeAtOnce < Tasker::StepHandler::Base
    def process(_task, sequence, _step)
      DB.call.insert_at_once("payments", id: SecureRandom.random_number(1 << 30), order_id: sequence.get_results("reserve")["id"], cents: 5)
    end
  end

  def test_rows_that_are_there_twice
    order(ChargeAtOnce)
    message = failure
    assert_includes message, "order does not do everything exactly once when its worker dies at this point: charge, before its commit"
    assert_includes message, "payments has 1 more row than without a crash:"
    assert_match(/\+ id: \d+, order_id: \d+, cents: 5/, message)
    assert_match(/What happened:.*reserve  attempt 1  begins.*statement 1: INSERT INTO orders.*=> charge   attempt 1  THE WORKER DIES\n.*charge   attempt 2  begins/m, message)
  end

  class Writes < Tasker::StepHandler::Base
    def process(*)
      File.write(FILE, "x") # the place
      DB.call.insert("payments", cents: 5)
    end
  end

  def test_effects_that_happen_twice
    order(Writes)
    message = failure
    assert_match(/dies at this point: charge, before statement 1/, message)
    assert_match(/charge did this in attempt 1 and again in attempt 2, without an idempotency key: file #{FILE} \(.*testing_exactly_once_test.rb:\d+\)/o, message)
    assert_equal 14 - 4, check(allow: :file).passed - 4
  end

  class Keyed < Tasker::StepHandler::Base
    def process(_task, _sequence, step)
      key = config[:fresh] || DB.call.rows("fresh").any? ? "key-#{step.attempts}" : "key"
      Tasker::Testing.effect(:other, "charge 5", key: key)
      DB.call.insert("payments", cents: 5)
    end
  end

  def test_one_idempotency_key_is_enough
    order(Keyed)
    assert_equal 14, check.passed
    @engine.insert_at_once_into("fresh")
    assert_match(/with different idempotency keys, key-1 and key-2: other charge 5/, failure)
  end

  class Draws < Tasker::StepHandler::Base
    def process(*)
      DB.call.insert("payments", cents: 5, ref: SecureRandom.uuid, reminded: rand(1 << 40))
    end
  end

  def test_another_attempt_draws_other_random_values
    order(Draws)
    result = check
    assert_equal 14, result.passed
    assert_includes result.not_compared, "payments.reminded (differs without a crash)"
    refute_match(/payments.ref/, result.to_s)
  end

  class Numbers < Tasker::StepHandler::Base
    def process(*)
      id = DB.call.insert("payments", cents: 5)
      DB.call.insert("lines", code: "P-#{id}", parent: id)
    end
  end

  def test_a_crash_leaves_gaps_in_numbers
    order(Numbers)
    assert_equal 16, check.passed
    assert_includes check.not_compared, "lines.code (differs without a crash)"
  end

  class Depends < Tasker::StepHandler::Base
    def process(_task, _sequence, step)
      DB.call.insert("payments", cents: 5, attempt: step.attempts)
    end
  end

  def test_the_value_that_differs_is_named
    order(Depends)
    message = failure
    assert_match(/payments has another row than without a crash:\n\s+id: 1, cents: 5, attempt: 2\n\s+attempt is 2, and was 1/, message)
  end

  def test_what_differs_without_a_crash_is_not_compared
    runs = 0
    order
    result = check do
      runs += 1
      { "orders" => @engine.rows("orders"), "noise" => [{ "n" => runs }], "rows" => Array.new(runs.clamp(1, 3)) { { "a" => 1 } } }
    end
    assert_includes result.not_compared, "noise.n (differs without a crash)"
    assert_includes result.not_compared, "rows (2 and 3 rows without a crash)"
    end_example
    assert_equal [result.to_s], [Tasker::Testing::Example.current].compact.flat_map(&:warnings) | [result.to_s]
  end

  def test_nothing_to_compare
    order
    assert_match(/returns no rows/, failure { [] })
    assert_equal 1, Tasker::Testing::Example.current.tasks.size # in the report
    runs = 0
    assert_match(/nothing is left to compare/, failure { Array.new(runs += 1) { { "a" => 1 } } })
    assert_raises(ArgumentError) { assert_exactly_once("order") }
  end

  def test_a_point_that_is_not_reached
    order
    @engine.singleton_class.send(:define_method, :die_at) { |*| }
    assert_match(/did not get to this point/, failure)
  end

  def test_a_task_that_does_not_become_complete
    order(handler { def process(*) = raise(Tasker::PermanentError, "declined") })
    assert_match(/does not become complete without a crash: it is error/, failure)
  end

  def test_faults_are_met_in_each_run
    order
    fail_step "charge", with: "busy"
    assert_equal 9 + 1 + 5, check.passed # with the beginning of the attempt that fails
    assert_equal [2], [Tasker::Testing::Example.current.tasks.last.step("charge").attempts]
  end

  def test_the_clock_stands_in_each_run_where_it_stood_in_the_first
    times = []
    order
    check do
      times << Time.now
      @engine.rows("orders").map { |row| row.reject { |column, _| column == "token" } }
    end
    assert_equal 1, times.uniq.size
  end
end

# frozen_string_literal: true

require_relative "helper"

class LoggingTest < Minitest::Test
  def test_it_goes_to_standard_error_until_replaced
    out, err = capture_io do
      Tasker.logger = nil
      Tasker.logger.info("hello")
    end

    assert_empty out
    assert_match(/INFO.*tasker: hello/, err)
  ensure
    Tasker.logger = nil
  end

  def test_structured_lines
    log = logged do
      run_step(handler do
        def process(*) = log_structured(:warn, "low stock", sku: "TEA-001", left: 2**70)
      end)
    end

    assert_match(/WARN/, log)
    line = JSON.parse(log[/\{.*\}/])
    assert_equal ["low stock", "TEA-001", 2**70], line.values_at("message", "sku", "left")
  end

  def test_a_level_that_is_off_costs_nothing
    log = logged(level: :error) do
      run_step(handler do
        def process(*) = log_structured(:info, "quiet", odd: Object.new)
      end)
    end

    assert_empty log
  end

  def test_it_never_raises
    log = logged do
      run_step(handler do
        def process(*)
          log_structured(:info, "broken", text: "\xff".b, float: Float::NAN)
          log_structured(:nonsense, "odd level")
        end
      end)
    end

    assert_match(/broken \(its facts could not be logged: JSON::GeneratorError\)/, log)
    assert_match(/INFO.*odd level/, log)
  end

  def test_exceptions
    log = logged do
      run_step(handler do
        def process(*)
          raise "trouble"
        rescue RuntimeError => e
          log_exception(e, context: { order: 7 })
        end
      end)
    end

    line = JSON.parse(log[/\{.*\}/])
    assert_equal ["RuntimeError: trouble", "RuntimeError", 7], line.values_at("message", "exception_class", "order")
    assert_match(/logging_test\.rb/, line["backtrace"].first)
  end

  # What a handler's lines say, each as a Hash with its level.
  def lines_of(&body)
    log = logged { run_step(handler { define_method(:process) { |task, _sequence, step| instance_exec(task, step, &body) } }) }
    log.lines.map { |line| JSON.parse(line[/\{.*\}/]).merge("level" => line[/DEBUG|INFO|WARN/]) }
  end

  def test_tasks_steps_and_operations
    lines = lines_of do |task, step|
      log_task_event(task, :paused, by: "Ada")
      log_step_event(step, :retried, duration: 0.5)
      log_step_event(step, "seen")
      log_orchestration_event("discovery", :done, found: 2)
    end

    assert_equal [["Task paused", "task", "Ada", "INFO"], ["Step retried", "step", nil, "INFO"], ["Step seen", "step", nil, "INFO"],
                  ["Orchestration done", "orchestration", nil, "DEBUG"]], (lines.map { |line| line.values_at("message", "entity_type", "by", "level") })
    assert_equal [500.0, "moderate", "step_under_test"], lines[1].values_at("duration_ms", "performance_category", "entity_name")
    refute lines[2].key?("duration_ms")
    assert_equal %w[in_progress in_progress], [lines[0]["task_status"], lines[1]["step_status"]]
  end

  { 0.1 => ["fast", false, "DEBUG"], 0.11 => ["moderate", false, "DEBUG"], 1.0 => ["moderate", false, "DEBUG"], 1.01 => ["slow", true, "WARN"],
    5 => ["slow", true, "WARN"], 5.1 => ["very_slow", true, "WARN"] }.each do |duration, wanted|
    define_method(:"test_a_measure_of_#{duration}_seconds") do
      line = lines_of { |*| log_performance_event("query", duration) }.first
      assert_equal wanted, line.values_at("performance_category", "is_slow", "level")
    end
  end

  def test_an_id_ties_lines_together
    lines = lines_of do |*|
      log_structured(:info, "before")
      log_structured(:info, "own", id: correlation_id)
      with_correlation_id("order-7") { log_structured(:info, "within", id: correlation_id) }
      self.correlation_id = "mine"
      log_structured(:info, "given")
    end

    assert_nil lines[0]["correlation_id"]
    assert_match(/\Atasker-\h{16}\z/, lines[1]["id"])
    assert_equal [lines[1]["id"], "order-7", "mine"], (lines[1..].map { |line| line["correlation_id"] })
    assert_equal "order-7", lines[2]["id"]
  end

  def test_an_id_ends_with_its_block
    steps = Class.new { include Tasker::Logging }
    assert_raises(RuntimeError) { steps.new.with_correlation_id("a") { raise "x" } }

    refute_equal "a", steps.new.correlation_id
    refute_equal steps.new.correlation_id, steps.new.correlation_id
  end

  def test_a_handler_may_have_methods_of_these_names
    log = logged do
      run_step(handler do
        def measure = raise("not yours")
        alias_method :correlation, :measure
        def process(*) = log_performance_event("query", 1)
      end)
    end

    assert_match(/Performance measurement/, log)
  end
end

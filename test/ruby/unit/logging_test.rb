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
end

# frozen_string_literal: true

require_relative "helper"

class ErrorReportTest < Minitest::Test
  def raised
    yield
  rescue Exception => e # rubocop:disable Lint/RescueException
    e
  end

  def describe(exception)
    Tasker::Execution.describe(exception).tap do |report|
      # Whatever comes out, JSON and PostgreSQL can hold it.
      text = JSON.generate(report, max_nesting: 1000)
      assert_equal Encoding::UTF_8, text.encoding
      refute_includes text, '\u0000'
    end
  end

  def test_everything_about_an_error
    error = raised do
      raise Tasker::RetryableError.new("busy", retry_after: 2.5, context: { at: :gateway, n: 2**70 })
    end
    report = describe(error)

    assert_equal %w[class ancestors message backtrace cause retry_after error_code context permanent], report.keys
    assert_equal "Tasker::RetryableError", report["class"]
    assert_equal %w[Tasker::ProceduralError Tasker::Error StandardError Exception], report["ancestors"]
    assert_equal "busy", report["message"]
    assert_match(/error_report_test\.rb:\d+/, report["backtrace"].first)
    assert_equal 2.5, report["retry_after"]
    assert_equal({ "at" => "gateway", "n" => 2**70 }, report["context"])
    assert_nil report["cause"]
    assert_nil report["error_code"]
    refute report["permanent"]
  end

  def test_permanent_errors
    report = describe(Tasker::PermanentError.new("no", error_code: "CARD_DECLINED"))

    assert_equal ["CARD_DECLINED", true, nil], report.values_at("error_code", "permanent", "context")
    assert_equal "E7", describe(Tasker::PermanentError.new("no", error_code: :E7))["error_code"]
    assert describe(Tasker::ConfigurationError.new)["permanent"]
    assert describe(Class.new(StandardError) { include Tasker::Permanent }.new)["permanent"]
    refute describe(Tasker::RetryableError.new)["permanent"]
    refute describe(StandardError.new)["permanent"]
  end

  def test_causes
    error = raised do
      raise KeyError, "inner"
    rescue KeyError
      begin
        raise "middle"
      rescue RuntimeError
        raise Tasker::PermanentError, "outer"
      end
    end
    report = describe(error)

    assert_equal "middle", report.dig("cause", "message")
    assert_equal %w[KeyError inner], report.dig("cause", "cause").values_at("class", "message")
    assert_equal %w[IndexError StandardError Exception], report.dig("cause", "cause", "ancestors")
    assert_nil report.dig("cause", "cause", "cause")
  end

  def test_causes_in_a_circle_and_without_end
    circle = Class.new(StandardError) { def cause = self }.new("around")
    assert_nil describe(circle)["cause"]

    endless = Class.new(StandardError) { def cause = self.class.new("more") }.new("more")
    depth = 0
    report = describe(endless)
    depth += 1 while (report = report["cause"])
    assert_equal 15, depth
  end

  class Liar < StandardError
    def class = String
    def is_a?(*) = raise("no")
    alias kind_of? is_a?
    def respond_to?(*) = raise("no")
    def ==(*) = raise("no")
    def hash = raise("no")
    def cause = raise("no")
    def retry_after = raise("no")
    def context = raise("no")
    def error_code = raise("no")
    def backtrace = raise("no")
    def inspect = raise("no")
    def to_s = raise("no")
    def message = raise("no")
  end

  def test_an_exception_that_answers_nothing
    report = describe(Liar.new)

    assert_equal "ErrorReportTest::Liar", report["class"]
    assert_equal "(its message cannot be had: RuntimeError was raised)", report["message"]
    assert_equal [[], nil, nil, nil, nil, false],
                 report.values_at("backtrace", "cause", "retry_after", "error_code", "context", "permanent")
  end

  def with(**answers)
    Class.new(StandardError) { answers.each { |name, answer| define_method(name) { answer.call } } }.new
  end

  def test_messages_that_are_none
    assert_equal "", describe(with(message: -> {}))["message"]
    assert_equal "(its message is an Integer) 5", describe(with(message: -> { 5 }))["message"]
    assert_match(/cannot be had/, describe(with(message: -> { BasicObject.new }))["message"])
    assert_match(/SystemExit was raised/, describe(with(message: -> { exit }))["message"])
    assert_match(/NoMemoryError was raised/, describe(with(message: -> { raise NoMemoryError }))["message"])
    overflow = with(message: -> { overflow.message })
    assert_match(/SystemStackError was raised/, describe(overflow)["message"])
  end

  def test_encodings
    assert_equal "caf\u00e9", describe(StandardError.new("caf\u00e9".encode("ISO-8859-1")))["message"]
    assert_equal "caf\u00e9", describe(StandardError.new("caf\u00e9".b))["message"]
    assert_equal "a\u{FFFD}b", describe(StandardError.new("a\xffb"))["message"]
    assert_equal "a\u{FFFD}b", describe(StandardError.new("a\0b"))["message"]
    assert_equal "ab", describe(StandardError.new("ab".encode("UTF-16LE")))["message"]
    assert_equal "\u{FFFD}", describe(StandardError.new((+"\xd8\x00").force_encoding("UTF-16BE")))["message"]
    assert_equal "x", describe(StandardError.new((+"x").force_encoding("UTF-7")))["message"]
  end

  def test_long_messages_are_cut_with_a_note
    message = describe(StandardError.new("\u00e9" * 50_000))["message"]

    assert_operator message.bytesize, :<, 66_000
    assert message.end_with?("... (cut: 100000 bytes in all)")
    assert_predicate message, :valid_encoding?
  end

  def test_backtraces
    assert_equal [], describe(StandardError.new("never raised"))["backtrace"]
    assert_equal [], describe(with(backtrace: -> { "text" }))["backtrace"]
    assert_equal ["1", "", "b"], describe(with(backtrace: -> { [1, nil, :b] }))["backtrace"]

    deep = raised { overflow(0) }
    lines = describe(deep)["backtrace"]
    assert_equal 501, lines.size
    assert_match(/\A\.\.\. \d+ lines left out \.\.\.\z/, lines[400])
  end

  def overflow(depth) = overflow(depth + 1) + 1

  def test_retry_after_is_seconds_or_nothing
    after = ->(value) { describe(with(retry_after: -> { value }))["retry_after"] }

    assert_equal 3.0, after.(3)
    assert_equal 1.5, after.(1.5r)
    assert_equal 30.0, after.("30")
    assert_in_delta 60, after.(Time.now + 60), 40
    [nil, -1, Float::NAN, Float::INFINITY, "soon", [], {}, Object.new].each { |odd| assert_nil after.(odd), odd.inspect }
  end

  def test_context_in_plain_values
    circle = {}
    circle[:self] = circle
    report = describe(with(context: lambda {
      { 1 => Float::NAN, nil => :sym, time: Time.utc(2025, 1, 2), bytes: "\xff\0", list: [1, [2]], big: 2**80,
        object: Object, odd: BasicObject.new, circle: circle }
    }))["context"]

    assert_equal %w[NaN sym], report.values_at("1", "")
    assert_equal "2025-01-02T00:00:00.000000Z", report["time"]
    assert_equal "\u{FFFD}\u{FFFD}", report["bytes"]
    assert_equal [1, [2]], report["list"]
    assert_equal 2**80, report["big"]
    assert_equal "Object", report["object"]
    assert_equal "(an object that cannot be described)", report["odd"]
    assert_kind_of Hash, report["circle"]
  end

  def test_context_that_is_none_or_too_large
    ["text", [1], nil, {}, 5].each { |odd| assert_nil describe(with(context: -> { odd }))["context"] }

    many = describe(with(context: -> { { list: Array.new(100_000) { |i| i } } }))["context"]
    assert_operator many["list"].size, :<=, 10_001
    long = describe(with(context: -> { (0...1000).to_h { |i| [i, "x" * 60_000] } }))["context"]
    assert_operator JSON.generate(long).bytesize, :<, 400_000
    assert_equal "(left out: the context is too large)", long["999"]
  end

  def test_numbers_with_too_many_digits
    huge = 10**200_000
    report = describe(with(context: -> { { n: huge, r: Rational(1, huge), c: Complex(0, huge), huge => 1 } }))["context"]
    assert_equal "(an Integer with too many digits)", report["n"]
    assert_equal "(a Rational with too many digits)", report["r"]
    assert_equal "(a Complex with too many digits)", report["c"]
    assert_equal 1, report["(an Integer with too many digits)"]
    assert_nil describe(with(error_code: -> { huge }))["error_code"]
    assert_equal "(its message is an Integer)", describe(with(message: -> { huge }))["message"]
    assert_equal "(its message is an Array)", describe(with(message: -> { [1] }))["message"]
  end

  def test_all_texts_have_one_bound
    error = nil
    20.times do
      raise "m" * 70_000, cause: error
    rescue RuntimeError => e
      e.set_backtrace(["l" * 5000] * 600)
      error = e
    end
    report = describe(error)

    assert_operator JSON.generate(report).bytesize, :<, 3 * 1024 * 1024
    assert_equal "... the other lines are left out: the report is too large ...", report["backtrace"].last
  end

  def test_classes_without_a_name
    report = describe(Class.new(Class.new(Tasker::PermanentError)).new("x"))

    assert_equal "Tasker::PermanentError", report["class"]
    assert report["permanent"]
    assert_equal %w[Tasker::PermanentError Tasker::ProceduralError Tasker::Error StandardError Exception], report["ancestors"]
  end

  def test_exceptions_that_are_no_standard_errors
    assert_equal %w[Exception], describe(raised { exit })["ancestors"]
    assert_equal "Interrupt", describe(Interrupt.new)["class"]
    assert_equal "SystemStackError", describe(raised { overflow(0) })["class"]
  end
end

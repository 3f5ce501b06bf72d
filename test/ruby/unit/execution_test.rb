# frozen_string_literal: true

require_relative "helper"

# How handlers are made and checked.
class ExecutionTest < Minitest::Test
  WAYS = {
    "no initialize" => proc {},
    "nothing" => proc { def initialize = @config = :none },
    "optional keyword" => proc { def initialize(config: nil) = @config = config },
    "required keyword" => proc { def initialize(config:) = @config = config },
    "keyword and more" => proc { def initialize(config: nil, clock: Time) = (@config = config) && clock },
    "keywords" => proc { def initialize(**all) = @config = all[:config] },
    "optional argument" => proc { def initialize(config = nil) = @config = config },
    "required argument" => proc { def initialize(config) = @config = config },
    "everything" => proc { def initialize(...) = take(...) }
  }.freeze
  TAKE_CONFIG = WAYS.keys - ["no initialize", "nothing"]

  def made(way, base, config)
    handler(base) do
      class_eval(&WAYS.fetch(way))
      def take(config: nil) = @config = config
      def process(*) = @config
    end.then { |handler_class| run_step(handler_class, config: config) }
  end

  def test_config_is_given_the_way_the_class_takes_it
    TAKE_CONFIG.each do |way|
      assert_equal({ "k" => 1 }, made(way, Object, { k: 1 }), "plain class: #{way}")
      assert_equal({ "k" => 1 }, made(way, Tasker::StepHandler::Base, { k: 1 }), "Base: #{way}")
    end
    assert_equal({ "k" => 1 }, made("no initialize", Tasker::StepHandler::Base, { k: 1 }))
    assert_nil made("no initialize", Object, { k: 1 })
    assert_equal "none", made("nothing", Object, { k: 1 })
  end

  def test_without_config_the_class_keeps_its_default
    defaulting = handler do
      def initialize(config: { url: "default" }) = super
      def process(*) = config[:url]
    end

    assert_equal "default", run_step(defaulting)
    assert_equal "given", run_step(defaulting, config: { url: "given" })
    assert_equal({}, made("required keyword", Object, {}))
    assert_nil run_step(handler { def process(*) = config[:nothing] })
  end

  def test_a_new_of_its_own_counts
    making = handler(Object) do
      def self.new(config:) = allocate.tap { |made| made.instance_variable_set(:@config, config) }
      def process(*) = @config
    end

    assert_equal({ "k" => 1 }, run_step(making, config: { k: 1 }))
  end

  def test_reopened_classes
    plain = handler(Object) { def process(*) = @config }
    assert_nil run_step(plain, config: { k: 1 })
    segments = Tasker::Testing.send(:segments, nil, context: {}, results: {}, config: { k: 1 }, step: {}, task: {})
    plain.class_eval { def initialize(config) = @config = config }
    assert_equal({ "k" => 1 }, Tasker::Execution.run(plain, segments))

    base = handler { def process(*) = config[:k] }
    assert_equal 1, Tasker::Execution.run(base, segments)
    base.class_eval { def initialize(config: nil) = super(config: { k: config[:k] + 1 }) }
    assert_equal 2, Tasker::Execution.run(base, segments)
  end

  def test_an_argument_error_of_the_handlers_own_is_kept
    raising = handler(Object) do
      def initialize(config: nil) = Integer("x")
      def process(*) = nil
    end

    assert_match(/invalid value for Integer/, assert_raises(ArgumentError) { run_step(raising) }.message)
  end

  def refused(handler_class, method = nil)
    assert_raises(Tasker::HandlerError) { Tasker::Execution.check(handler_class, method) }.message
  end

  def test_check_refuses_what_cannot_handle_steps
    assert_match(/Tasker is a Module, not a class/, refused(Tasker))
    assert_match(/"x" is a String/, refused("x"))
    assert_match(/\A\d+ is an Integer, not a class/, refused(1))
    assert_match(/has no public method process\(task, sequence, step\); did you mean proces\?\z/, refused(handler { def proces(*) = nil }))
    assert_match(/has no public method process/, refused(Class.new))
    assert_match(/is not public/, refused(handler(Object) { private def process(*) = nil }))
    assert_match(/does not say what process/, refused(Class.new(Tasker::StepHandler::Base)))
    assert_match(/has to take 3 arguments.*not 2.*execution_test\.rb:\d+/,
                 refused(handler(Object) { def process(task, step) = [task, step] }))
    assert_match(/has to take 3 arguments/, refused(handler(Object) { def process(a, b, c, d:) = [a, b, c, d] }))
    assert_match(/asks for the keyword client:/, refused(handler(Object) do
      def initialize(client:) = @client = client
      def process(*) = nil
    end))
    assert_match(/asks for 2 arguments/, refused(handler(Object) do
      def initialize(one, two) = @both = [one, two]
      def process(*) = nil
    end))
  end

  def test_check_lets_other_signatures_pass
    [
      handler(Object) { def process(*) = nil },
      handler(Object) { def process(_task, *) = nil },
      handler(Object) { def process(_task, _sequence, _step, _more = nil) = nil },
      handler(Object) { def process(_task, _sequence, _step, quick: true) = quick }
    ].each { |handler_class| assert_same handler_class, Tasker::Execution.check(handler_class) }
  end

  def test_a_class_with_only_handle
    assert_equal 1, run_step(handler(Object) { def handle(task, _sequence, _step) = task.context[:a] }, context: { a: 1 })
    assert_equal 2, run_step(handler { def handle(task, _sequence, _step) = task.context[:a] }, context: { a: 2 })
    assert_equal [3], run_step(handler { def handle(_task, _sequence, step) = (step.results = [3]) && 4 })
    assert_equal 5, run_step(handler(Object) do
      def process(*) = 5
      def handle(event) = event
    end)
    assert_match(/#handle has to take 3 arguments.*not 1 \(.*execution_test\.rb:\d+\); for methods that take one context.*tasker_core"/,
                 refused(handler(Object) { def handle(event) = event }))
  end

  def test_the_template_may_name_the_method
    many = handler(Object) do
      def process(*) = 1
      def refund(task, _sequence, _step) = task.context[:a]
      def short(context) = context
      private def hidden(*) = nil
    end

    assert_equal 1, run_step(many)
    assert_equal 2, run_step(many, context: { a: 2 }, step: { handler_method: "refund" })
    assert_equal 3, Tasker::Execution.run(many, segments_of(context: { a: 3 }), "refund")
    assert_equal 1, run_step(many, step: { description: 'the "handler_method": of none' })
    below = handler do
      def process(*) = 1
      def other(task, *) = task.context[:a]
    end
    assert_equal [1, 4], [run_step(below, step: { handler_method: "process" }), run_step(below, context: { a: 4 }, step: { handler_method: "other" })]
    assert_equal 1, run_step(below, step: { handler_method: "handle" })
    assert_match(/has no public method none/, refused(many, "none"))
    assert_match(/has no public method hidden/, refused(many, "hidden"))
    assert_match(/did you mean refund\?/, refused(many, "refnd"))
    assert_match(/#short has to take 3 arguments/, refused(many, "short"))
  end

  def test_a_method_that_is_not_there_fails_the_step_for_good
    error = assert_raises(Tasker::HandlerError) { Tasker::Execution.run(handler { def process(*) = 1 }, segments_of(step: { handler_method: "none" })) }

    assert Tasker::Execution.describe(error)["permanent"]
  end

  def segments_of(context: {}, step: {})
    Tasker::Testing.send(:segments, nil, context: context, results: {}, config: {}, step: step, task: {})
  end

  def test_a_class_with_call_is_told_of_the_compatibility_layer
    out, ok = ruby('require "tasker"; Tasker::Execution.check(Class.new { def call(a, b, c) = [a, b, c] })')

    refute ok
    assert_match(%r{require "tasker/compat/tasker_core"}, out)
  end

  def test_an_empty_call_makes_few_objects
    empty = handler { def process(_task, _sequence, _step) = nil }
    segments = Tasker::Segments.new(Tasker::Testing.send(:segments, nil, context: {}, results: {}, config: {}, step: {}, task: {}))
    calls = -> { 1000.times { Tasker::Execution.run(empty, segments) } }
    calls.call
    before = GC.stat(:total_allocated_objects)
    calls.call

    assert_operator GC.stat(:total_allocated_objects) - before, :<=, 5100
  end

  def test_many_threads_at_once
    handler_classes = Array.new(20) { |i| handler { define_method(:process) { |*| i } } }
    found = Array.new(8) { Thread.new { handler_classes.map { |h| run_step(h) } } }.map(&:value)

    assert_equal [(0...20).to_a], found.uniq
  end
end

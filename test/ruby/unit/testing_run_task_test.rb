# frozen_string_literal: true

require_relative "testing_helper"

class TestingRunTaskTest < Minitest::Test
  include TestingHelper

  def test_a_task_says_what_has_become_of_it
    @engine.step("reserve", handler { def process(task, _sequence, _step) = { seats: task.context[:seats] } })
    @engine.step("charge", handler { def process(_task, sequence, _step) = { cents: sequence.get_results("reserve")["seats"] * 100 } }, after: ["reserve"])

    task = run_task("booking", context: { seats: 2 })

    assert_predicate task, :complete?
    assert_equal 2, task.context[:seats]
    assert_equal({ "cents" => 200 }, task.step("charge").results)
    assert_equal 200, task.step(:charge).results[:cents]
    assert_equal ["reserve"], task.step("charge").depends_on
    assert_equal %w[reserve charge], task.steps.map(&:name)
    assert_equal "step.complete", task.events.first.kind
    assert_equal "worker", task.history.first.by
    assert_instance_of Time, task.history.first.at
  end

  def test_the_request_has_what_was_given
    @engine.step("a", handler { def process(*) = 1 })
    run_task("x/booking", context: { a: [1] }, version: "1.2.3", stubs: { a: { b: 1 } }, workers: 2, run_at: Time.at(7))

    request = @engine.asked("run_task").first
    assert_equal ["x/booking", "1.2.3", "test", { "a" => [1] }, { "a" => { "b" => 1 } }, 2, 7_000_000],
                 request.values_at("template", "version", "env", "context", "stubs", "workers", "run_at")
  end

  def test_a_step_that_is_not_there
    @engine.step("charge", handler { def process(*) = 1 })
    task = run_task("booking")

    error = assert_raises(Tasker::Testing::Error) { task.step("chargge") }
    assert_equal "the task booking has no step chargge; did you mean charge?", error.message
    assert_match(/there are charge\z/, assert_raises(Tasker::Testing::Error) { task.step("zzz") }.message)
  end

  def test_a_stub_may_be_a_proc
    @engine.step("charge", handler { def process(*) = raise("not run") })
    task = run_task("booking", context: { cents: 5 }, stubs: { charge: ->(t, _sequence, step) { { cents: t.context[:cents], at: step.attempts } } })

    assert_equal({ "cents" => 5, "at" => 1 }, task.step("charge").results)
  end

  def test_a_stub_of_no_step
    @engine.step("charge", handler { def process(*) = 1 })
    error = assert_raises(Tasker::Testing::Error) { run_task("booking", stubs: { "chrge" => -> {} }) }
    assert_equal "there is a stub of chrge, but the task booking has no such step; did you mean charge?", error.message
  end

  def test_an_error_of_the_engine_has_both_its_lines
    @engine.define_singleton_method(:run_task) { |_| { "error" => "there is no template bookng", "hint" => "did you mean booking?" } }
    error = assert_raises(Tasker::Testing::Error) { run_task("bookng") }
    assert_equal "there is no template bookng\ndid you mean booking?", error.message
  end

  def test_what_handlers_log_and_publish
    @engine.step("charge", handler do
      def process(*)
        logger.info { "charging" }
        publish_event("payment.charged", cents: 5)
        1
      end
    end)
    out, err = capture_io { @task = run_task("booking") }

    assert_equal ["", ""], [out, err]
    assert_equal [[:info, "charging", "charge"]], @task.log.first(1).map { |line| [line.level, line.message, line.step] }
    assert_equal [["payment.charged", 5, "charge"]],
                 @task.published.reject { |p| p.name.start_with?("step.") }.map { |p| [p.name, p.payload[:cents], p.step] }
  end

  def test_a_logger_of_the_suites_gets_the_lines_too
    @engine.step("charge", handler { def process(*) = logger.info("charging") })
    assert_includes(logged { run_task("booking") }, "charging")
  end

  def test_an_attempt_that_fails_is_tried_again_and_time_goes_on
    klass = handler do
      def process(_task, _sequence, step)
        raise Tasker::RetryableError, "busy" if step.attempts < 3

        { at: Time.now.to_i }
      end
    end
    @engine.step("charge", klass)
    before = Time.now.to_i
    task = run_task("booking")

    assert_equal 3, task.step("charge").attempts
    assert_equal %w[error error complete], task.step("charge").tries.map(&:outcome)
    assert_equal "Tasker::RetryableError", task.step("charge").error.class_name
    assert_predicate task.step("charge").error, :retryable?
    assert_operator task.step("charge").results[:at], :>=, before + 120
    assert_operator Time.now.to_i, :>=, before + 120
    end_example
    assert_operator Time.now.to_i, :<, before + 60
  end

  def test_a_step_alone
    @engine.define_singleton_method(:run_step) do |request|
      @stubs = {}
      @context = request["context"]
      run_task(request.merge("template" => "step", "stubs" => {}))
    end
    @engine.step("step_under_test", self.class.const_set(:Charge, handler { def process(task, _sequence, _step) = { cents: task.context[:cents] } }))
    step = run_step(TestingRunTaskTest::Charge, context: { cents: 7 }, results: { validate: { ok: true } }, attempt: 2)

    assert_equal 7, step.results[:cents]
    request = @engine.asked("run_step").first
    assert_equal ["TestingRunTaskTest::Charge", { "validate" => { "ok" => true } }, 2], request.values_at("handler_class", "results", "attempt")
    assert_match(/a class with a name/, assert_raises(ArgumentError) { run_step(Class.new) }.message)
  end

  def test_outside_an_example
    end_example
    assert_match(/call run_task and the methods like it in an example/, assert_raises(Tasker::Testing::Error) { run_task("x") }.message)
    Tasker::Testing::Service.transport = nil
    error = assert_raises(Tasker::Testing::Error) { run_task("x") }
    assert_equal "run_task and the methods like it need the engine: run this file with `tasker-rb test`", error.message
  end
end

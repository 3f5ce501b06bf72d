# frozen_string_literal: true

require_relative "helper"

class StepHandlerTest < Minitest::Test
  def test_the_output_of_process_becomes_the_results
    assert_equal({ "a" => 1 }, run_step(handler { def process(*) = { a: 1 } }))
    assert_nil run_step(handler { def process(*) = nil })
    assert_equal [1, 2], run_step(handler { def process(*) = [1, 2] })
  end

  def test_results_that_process_assigned_stay
    assigning = handler do
      def process(_task, _sequence, step)
        step.results = { mine: true }
        { output: true }
      end
    end

    assert_equal({ "mine" => true }, run_step(assigning))
  end

  def test_results_changed_in_place_give_way_to_the_output
    changing = handler do
      def process(_task, _sequence, step)
        step.results["mine"] = true
        { output: true }
      end
    end

    assert_equal({ "output" => true }, run_step(changing))
  end

  def test_process_results_decides_and_its_value_is_ignored
    seen = []
    deciding = handler do
      define_method(:process) { |*| :output }
      define_method(:process_results) do |step, output, initial|
        seen << [output, initial]
        step.results = { "kept" => output.to_s }
        :ignored
      end
    end

    assert_equal({ "kept" => "output" }, run_step(deciding))
    assert_equal [[:output, {}]], seen
  end

  def test_process_results_that_assigns_nothing_leaves_the_results_empty
    assert_equal({}, run_step(handler do
      def process(*) = { lost: true }
      def process_results(*) = { lost: true }
    end))
  end

  def test_a_raise_in_process_results_fails_the_step
    error = assert_raises(Tasker::PermanentError) do
      run_step(handler do
        def process(*) = nil
        def process_results(*) = raise(Tasker::PermanentError.new("no", error_code: "NO"))
      end)
    end
    assert_equal "NO", error.error_code
  end

  def test_handle_returns_the_output
    handler_class = handler do
      def process(*) = :output
      def process_results(step, *) = step.results = :other
    end
    sequence = Tasker::Testing.sequence

    assert_equal :output, handler_class.new.handle(sequence.task, sequence, sequence.current_step)
    assert_equal :other, sequence.current_step.results
  end

  def test_every_execution_has_an_instance_of_its_own
    counting = handler do
      def process(*) = @count = (@count || 0) + 1
    end

    assert_equal [1, 1], Array.new(2) { run_step(counting) }
  end

  def test_a_plain_class_works
    plain = handler(Object) { def process(task, _sequence, step) = [task.context[:a], step.name] }
    assert_equal [1, "step_under_test"], run_step(plain, context: { a: 1 })

    with_results = handler(Object) do
      def process(*) = 1
      def process_results(step, output, initial) = step.results = [output, initial]
    end
    assert_equal [1, {}], run_step(with_results)

    assigning = handler(Object) do
      def process(_task, _sequence, step) = (step.results = [3]) && 4
    end
    assert_equal [3], run_step(assigning)
  end

  def test_what_depends_on_other_steps
    joining = handler do
      def process(_task, sequence, _step)
        sequence.find_step_by_name("left").results["n"] + sequence.get_results(:right)["n"]
      end
    end

    assert_equal (2**200) + 1, run_step(joining, results: { left: { n: 2**200 }, "right" => { n: 1 } })
  end

  def test_a_handler_cannot_corrupt_the_next_execution
    spoiling = handler do
      def process(task, sequence, _step)
        task.context[:list] << 1
        sequence.get_results("other")["list"] << 1
        config[:list] << 1
        [task.context[:list], sequence.get_results("other")["list"], config[:list]]
      end
    end
    given = { context: { list: [] }, results: { other: { list: [] } }, config: { list: [] } }

    2.times { assert_equal [[1], [1], [1]], run_step(spoiling, **given) }
  end

  def test_a_class_without_process_says_so
    sequence = Tasker::Testing.sequence
    bare = Class.new(Tasker::StepHandler::Base)

    assert_raises(NotImplementedError) { bare.new.handle(sequence.task, sequence, sequence.current_step) }
  end

  def test_errors_take_keywords
    retryable = Tasker::RetryableError.new("later", retry_after: 2.5, context: { a: 1 })
    assert_equal ["later", 2.5, { a: 1 }], [retryable.message, retryable.retry_after, retryable.context]
    permanent = Tasker::PermanentError.new("never", error_code: "E1", context: { b: 2 })
    assert_equal ["never", "E1", { b: 2 }], [permanent.message, permanent.error_code, permanent.context]
    assert_equal "Tasker::RetryableError", assert_raises(Tasker::ProceduralError) { raise Tasker::RetryableError }.message
    assert_equal "short", assert_raises(Tasker::Error) { raise Tasker::PermanentError, "short" }.message
    assert_equal [{}, nil], [Tasker::RetryableError.new("x").context, Tasker::RetryableError.new("x").retry_after]
  end
end

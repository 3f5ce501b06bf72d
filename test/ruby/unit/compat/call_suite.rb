# frozen_string_literal: true

require_relative "helper"

# How handlers are called, and what they return.
class CallSuite < Minitest::Test
  def test_call_with_a_context
    seen = core do
      def call(context)
        success(result: {
                  input: context.get_input(:order), missing: context.get_input("none"), other: context.get_input_or("none", 5),
                  config: context.get_config("k"), parent: context.get_dependency_result("first")[:n],
                  field: context.get_dependency_field(:first, :deep, "x"), at: context.get_dependency_field("first", "list", 1),
                  no_field: context.get_dependency_field("first", "deep", "none", "more"), no_step: context.get_dependency_result("other"),
                  keys: context.dependency_results.keys, whole: context.dependency_results["first"]["success"],
                  names: [context.step_name, context.namespace_name, context.workflow_step.name, context.step_definition.name],
                  dependencies: context.step_definition.dependencies, handler: context.step_definition.handler.initialization["k"],
                  context: context.context["order"], inputs: context.input_data[:order]
                }, metadata: { any: "thing" })
      end
    end
    results = run_step(seen, context: { order: 7 }, config: { k: 1 }, results: { first: { n: 2, deep: { x: 3 }, list: [4, 6] } })

    assert_equal({ "input" => 7, "missing" => nil, "other" => 5, "config" => 1, "parent" => 2, "field" => 3, "at" => 6, "no_field" => nil,
                   "no_step" => nil, "keys" => ["first"], "whole" => true,
                   "names" => %w[step_under_test default step_under_test step_under_test], "dependencies" => ["first"], "handler" => 1,
                   "context" => 7, "inputs" => 7 }, results)
  end

  def test_retries_are_counted_from_zero
    counting = core { def call(context) = [context.retry_count, context.is_retry?, context.is_last_retry?, context.max_retries, context.retryable?] }

    assert_equal [0, false, false, 3, true], run_step(counting)
    assert_equal [1, true, false, 3, true], run_step(counting, step: { attempts: 2 })
    assert_equal [2, true, true, 3, true], run_step(counting, step: { attempts: 3 })
    assert_equal [0, false, true, 1, true], run_step(counting, step: { retry_limit: 1 })
  end

  def test_uuids_stay_the_same_and_differ
    ids = core { def call(context) = [context.task_uuid, context.step_uuid, context.task.task_uuid, context.workflow_step.workflow_step_uuid] }
    first = run_step(ids)

    assert_equal first, run_step(ids, step: { attempts: 2 })
    assert_equal first.first(2), first.last(2)
    assert_equal 2, first.uniq.size
    first.each { |id| assert_match(/\A\h{8}(-\h{4}){3}-\h{12}\z/, id) }
  end

  def test_there_is_no_checkpoint
    asking = core do
      def call(context)
        [context.checkpoint, context.checkpoint_cursor, context.accumulated_results, context.checkpoint_items_processed, context.has_checkpoint?]
      end
    end
    assert_equal [nil, nil, nil, 0, false], run_step(asking)

    yielding = core { def call(_context) = TaskerCore::Types::StepHandlerCallResult.checkpoint_yield(cursor: 1, items_processed: 2) }
    assert_equal [true, "UNSUPPORTED"], report(yielding).values_at("permanent", "error_code")
  end

  def test_three_arguments_or_one
    assert_equal 1, run_step(core { def call(task, _sequence, _step) = task.context[:a] }, context: { a: 1 })
    assert_equal 2, run_step(core { def call(context) = context.get_input(:a) }, context: { a: 2 })
    assert_equal 3, run_step(core { def call(context, _more = nil) = context.get_input(:a) }, context: { a: 3 })
    assert_equal "Tasker::Task", run_step(core { def call(*all) = all.first.class.name })
    assert_equal 4, run_step(handler(Object) { def call(context) = context.get_input(:a) }, context: { a: 4 })
    assert_equal 5, run_step(handler(Object) { def call(task, *) = task.context[:a] }, context: { a: 5 })
  end

  def test_other_arguments_are_refused_before_anything_runs
    assert_match(/#call has to take 1 argument, the context, or 3 arguments.*not 2 \(.*call_suite\.rb:\d+\)/, refused(core { def call(one, two) = [one, two] }))
    assert_match(/has to take/, refused(core { def call = nil }))
    assert_match(/has to take/, refused(core { def call(context, key:) = [context, key] }))
    assert_match(/does not say what call\(context\) does/, refused(core))
    assert_match(/is not public/, refused(core { private def call(context) = context }))
    assert_match(/#call has to take/, refused(handler(Object) { def call(one, two) = [one, two] }))
    assert_match(/#process has to take 3 arguments/, refused(handler { def process(context) = context }))
  end

  def test_a_subclass_with_process_runs_as_before
    assert_equal 1, run_step(core { def process(task, *) = task.context[:a] }, context: { a: 1 })
    assert_equal 2, run_step(handler { def process(*) = 2 })
  end

  def test_the_template_may_name_the_method
    many = core do
      def call(_context) = "call"
      def process(context) = "process #{context.get_input(:a)}"
      def refund(context) = success(result: "refund #{context.step_definition.handler.handler_method}")
      def three(task, _sequence, _step) = task.context[:a]
    end

    assert_equal "call", run_step(many)
    assert_equal "process 1", run_step(many, context: { a: 1 }, step: { handler_method: "process" })
    assert_equal "refund refund", run_step(many, step: { handler_method: "refund" })
    assert_equal 1, run_step(many, context: { a: 1 }, step: { handler_method: "three" })
    assert_match(/has no public method refnud, which the template names.*did you mean refund\?/, refused(many, "refnud"))
    assert_equal "x", run_step(handler(Object) { def x(_context) = "x" }, step: { handler_method: "x" })
  end

  def test_results_of_all_kinds
    {
      -> { Result.success(result: 3) } => 3, -> { 4 } => 4, -> {} => nil, -> { { a: 1 } } => { "a" => 1 },
      -> { { success: true, result: { b: 2 } } } => { "b" => 2 }, -> { { "success" => true, "c" => 3 } } => { "success" => true, "c" => 3 }
    }.each { |body, expected| assert_equal [expected], [run_step(core { define_method(:call) { |_context| body.call } })] }
    assert_equal [5, 6, { "operation" => "x" }], run_step(core do
      def call(_context)
        [success(result: 5).result, success(result_data: 6).result, success(result: 1, metadata: { operation: "x" }).metadata]
      end
    end)
    assert_match(/required/, report(core { def call(_context) = success })["message"])
  end

  def failing(**options)
    report(core { define_method(:call) { |_context| failure(**options) } }).values_at("class", "permanent", "error_code", "retry_after", "message")
  end

  def test_a_failure_is_permanent_unless_it_says_otherwise
    assert_equal ["TaskerCore::Errors::PermanentError", true, "UnexpectedError", nil, "no"], failing(message: "no")
    assert_equal ["TaskerCore::Errors::PermanentError", true, "V1", nil, "no"], failing(message: "no", error_type: "ValidationError", error_code: "V1")
    assert_equal ["TaskerCore::Errors::RetryableError", false, nil, 9.0, "busy"],
                 failing(message: "busy", error_type: "RetryableError", retryable: true, metadata: { retry_after: 9 })
    assert_equal [true, "bad"], report(core { def call(_context) = { success: false, message: "bad" } }).values_at("permanent", "message")
    assert_equal [true, "bad"], report(core { def call(_context) = CompatHelper::Result.failure(message: "bad") }).values_at("permanent", "message")
  end

  def test_errors
    errors = TaskerCore::Errors
    permanent = [errors::PermanentError, errors::ValidationError, errors::NotFoundError, errors::DatabaseError, errors::FFIError, errors::ConfigurationError]
    others = [errors::RetryableError, errors::TimeoutError, errors::NetworkError, errors::ServerError, errors::OrchestrationError]

    permanent.each { |c| assert report(core { define_method(:call) { |_| raise c, "x" } })["permanent"], c.name }
    others.each { |c| refute report(core { define_method(:call) { |_| raise c, "x" } })["permanent"], c.name }
    assert(permanent.none? { |c| errors::ErrorClassifier.retryable?(c.new("x")) })
    assert errors::ErrorClassifier.retryable?(others.first.new("x"))
    assert_equal [5, { a: 1 }, "RetryableError"], errors::RetryableError.new("x", retry_after: 5, context: { a: 1 }).then { |e| [e.retry_after, e.context, e.error_class] }
    assert_equal ["E", { field: :name }, :name], errors::ValidationError.new("x", field: :name, error_code: "E").then { |e| [e.error_code, e.context, e.field] }
    assert_equal 3, errors::TimeoutError.new("x", timeout_duration: 3).timeout_duration
    assert_equal 502, errors::NetworkError.new("x", status_code: 502).status_code
    assert_same errors::PermanentError, TaskerCore::PermanentError
  end

  def test_an_exception_becomes_a_result
    results = TaskerCore::Types::StepHandlerCallResult
    kinds = [TaskerCore::Errors::ValidationError.new("v"), TaskerCore::Errors::RetryableError.new("r", retry_after: 4), RuntimeError.new("x")]

    assert_equal([["PermanentError", false], ["RetryableError", true], ["UnexpectedError", true]],
                 kinds.map { |e| results.from_exception(e).then { |r| [r.error_type, r.retryable] } })
    assert_equal 4, results.from_exception(kinds[1]).metadata[:retry_after]
  end

  def test_results_of_other_steps_can_be_read_with_symbols
    reading = core do
      def call(_task, sequence, _step)
        sequence.get_results(:first)[:list] << 9
        [sequence.get_results("first")[:list], sequence.get_results("first")["list"], sequence.get("first")["result"][:n], sequence.get_results("none")]
      end
    end

    assert_equal [[1, 9], [1, 9], 2, nil], run_step(reading, results: { first: { n: 2, list: [1] } })
  end

  def test_the_handlers_own_facts
    asking = core do
      const_set(:VERSION, "2.0")
      def self.name = "Shop::ChargeCard"
      def call(_context) = [handler_name, metadata[:version], metadata[:capabilities], validate_config({}), validate_config(nil)]
    end

    assert_equal ["charge_card", "2.0", ["process"], true, false], run_step(asking)
  end

  def test_logging
    text = logged do
      run_step(core do
        def call(_context)
          logger.info("plain")
          logger.warn { "block" }
          TaskerCore::Logger.instance.log_step(:error, "charge", amount: 3)
          TaskerCore::Tracing.info("traced", { step: 1 })
          logger.level
        end
      end)
    end

    assert_match(/INFO.*plain/, text)
    assert_match(/WARN.*block/, text)
    assert_match(/ERROR.*\{"message":"charge","component":"step_operation","operation":"charge","amount":3\}/, text)
    assert_match(/INFO.*\{"message":"traced","step":1\}/, text)
  end

  def test_events_are_published_for_them_too
    seen = []
    subscription = Tasker::Events.subscribe("step.completed") { |event| seen << event[:step_results] }
    run_step(core { def call(_context) = { a: 1 } })

    assert_equal [{ a: 1 }], seen
  ensure
    Tasker::Events.unsubscribe(subscription)
  end
end

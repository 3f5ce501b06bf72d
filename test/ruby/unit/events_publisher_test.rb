# frozen_string_literal: true

require_relative "helper"

# The names of tasker-engine for publishing, for looking events up, and for reading them.
class EventsPublisherTest < Minitest::Test
  Events = Tasker::Events

  def setup
    @before = Events.subscriptions
    @custom = Events.custom
    @heard = []
    Events.subscribe { |event| @heard << event }
  end

  def teardown
    Events.subscriptions = @before
    Events.forget_custom
    @custom.each_value { |event| Events.register(event[:name], description: event[:description], fired_by: event[:fired_by]) }
  end

  def sequence
    Tasker::Testing.sequence(task: { name: "order" }, context: { total: 9 }, results: { cart: { ok: true } },
                             step: { attempts: 2, last_attempted_at: Time.now.utc.iso8601 })
  end

  class Plain
    include Tasker::Concerns::EventPublisher
  end

  def test_events_of_steps
    step = sequence.current_step
    publisher = Plain.new
    publisher.publish_step_started(step)
    publisher.publish_step_before_handle(step)
    publisher.publish_step_completed(step, operation_count: 42)
    publisher.publish_step_failed(step, error: KeyError.new("gone"))
    publisher.publish_step_retry_requested(step, retry_reason: "busy")
    publisher.publish_step_cancelled(step)
    publisher.publish_step_backoff(step, backoff_seconds: 3)

    assert_equal %w[step.execution_requested step.before_handle step.completed step.failed step.retry_requested step.cancelled observability.step.backoff],
                 @heard.map(&:name)
    assert_equal [%w[started before_handle completed failed retry cancelled backoff], [2]], [@heard.map { |e| e[:event_type] }, @heard.map { |e| e[:attempt_number] }.uniq]
    assert_equal 42, @heard[2][:operation_count]
    assert_equal %w[gone KeyError], @heard[3].to_h.values_at(:error_message, :exception_class)
    assert_equal ["busy", 1], @heard[4].to_h.values_at(:retry_reason, :previous_attempts)
  end

  def test_events_of_tasks
    task = sequence.task
    publisher = Plain.new
    publisher.publish_task_started(task)
    publisher.publish_task_completed(task, total_duration: 1.5)
    publisher.publish_task_failed(task, error_message: "no")
    publisher.publish_task_retry_requested(task)
    publisher.publish_task_reenqueue_delayed(task, delay_seconds: 5)
    publisher.publish_workflow_step_completed(1, 2)
    publisher.publish_viable_steps_discovered(1, [2, 3])
    publisher.publish_steps_execution_completed(task, processed_count: 2, successful_count: 1)

    assert_equal %w[task.start_requested task.completed task.failed task.retry_requested workflow.task_reenqueue_delayed workflow.step_completed
                    workflow.viable_steps_discovered workflow.steps_execution_completed], @heard.map(&:name)
    assert_equal [9, "order", 2], [@heard[0][:task_context][:total], @heard[0][:task_name], @heard[0][:total_steps]]
    assert_in_delta 1.5, @heard[1][:total_duration]
    assert_equal "no", @heard[2][:error_message]
    assert @heard[6][:orchestration_event]
    assert_equal 2, @heard[6][:step_count]
  end

  def test_the_event_that_a_step_suggests
    step = sequence.current_step
    Plain.new.publish_step_event_for_context(step)
    Plain.new.publish_step_event_for_context(step, context_hint: :failed)

    assert_equal %w[step.execution_requested step.failed], @heard.map(&:name)
    assert_match(/no event of a step for :odd/, logged { Plain.new.publish_step_event_for_context(step, context_hint: :odd) })
  end

  def test_a_handler_has_them
    run_step(handler { def process(task, _, step) = publish_task_completed(task) || publish_step_completed(step, a: 1) })

    assert_equal %w[step.execution_requested step.before_handle task.completed step.completed step.completed], @heard.map(&:name)
  end

  def test_a_payload_that_cannot_be_made_fails_nothing
    log = logged { assert_nil Plain.new.publish_task_completed(Object.new) }

    assert_match(/task\.completed could not be published: NoMethodError/, log)
  end

  def test_the_payload_builder
    built = Events::EventPayloadBuilder.build_step_payload(sequence.current_step, event_type: :failed, additional_context: { error_message: "x", more: 1 })

    assert_equal ["x", "StandardError", 1], built.values_at(:error_message, :exception_class, :more)
    assert_equal({ event_type: "x", orchestration_event: true, a: 1 }, Events::EventPayloadBuilder.build_orchestration_payload(event_type: :x, context: { a: 1 }).except(:timestamp))
    assert_equal [2, 1, 0], Events::EventPayloadBuilder.build_task_payload(sequence.task).values_at(:total_steps, :completed_steps, :failed_steps)
  end

  def test_the_catalog
    Events.register_custom_event("order.shipped", description: "The carrier has it", fired_by: ["Ship"])
    Events::Catalog.register_custom_event("order.packed", payload_schema: { id: "Integer" })

    assert_equal "task.completed", Events.event_info(:task_completed)[:name]
    assert_nil Events.event_info("nothing.here")
    assert_equal %w[order.packed order.shipped], Events.events_by_namespace("order").keys.sort
    assert_equal ["order.shipped"], Events.search_events("CARRIER").keys
    assert_equal %w[task], Events.task_events.values.map { |event| event[:category] }.uniq
    refute_includes Events.catalog.keys, "task.initialize_requested"
    assert_equal [["Ship"], "custom"], Events.custom_events["order.shipped"].values_at(:fired_by, :category)
    out = StringIO.new
    Events.print_catalog(output: out)
    assert_match(/Custom Events:\n.*  order\.shipped\n\s+Description: The carrier/m, out.string)
  end

  def test_the_registry_of_custom_events
    registry = Events::CustomRegistry.instance
    registry.register_event("order.lost", description: "It is gone", fired_by: "Ship")

    assert registry.registered?("order.lost")
    assert_equal ["custom", ["Ship"]], registry.event_info("order.lost").values_at(:category, :fired_by)
    { "lost" => /needs a namespace/, "task.lost" => /belong to the engine/, "handler.registered" => /belong to the engine/, 7 => /has to be a String/ }.each do |name, why|
      assert_match(why, assert_raises(ArgumentError) { registry.register_event(name) }.message)
    end
    registry.clear!

    assert_empty registry.registered_events
  end

  class Reader < Events::Subscribers::BaseSubscriber
    public :safe_get, :extract_timing_metrics, :extract_error_metrics, :extract_metric_tags, :extract_numeric_metric, :extract_performance_metrics,
           :extract_core_attributes, :extract_step_attributes, :build_metric_name
  end

  def test_reading_events
    reader = Reader.new
    event = Events::Event.new("step.failed", { task_id: 1, step_id: 2, step_name: "charge", task_name: "order", exception_class: "Net::ReadTimeout", attempt_number: 3,
                                               retry_limit: 3, execution_duration: 1.5, total_steps: 4, retryable: true })

    assert_equal [1.5, 4], reader.extract_timing_metrics(event).values_at(:execution_duration, :step_count)
    assert_equal ["timeout", true, true], reader.extract_error_metrics(event).values_at(:error_type, :is_retryable, :final_failure)
    assert_equal %w[task:order step:charge retryable:true attempt:3], reader.extract_metric_tags(event).reject { |tag| tag.start_with?("environment") }
    assert_equal [1, 2, "charge"], reader.extract_step_attributes(event).values_at(:task_id, :step_id, :step_name)
    assert_equal({ memory_usage: 0, cpu_time: 0.0, queue_time: 0.0, processing_time: 0.0, retry_delay: 0.0 }, reader.extract_performance_metrics(event))
    assert_equal [5, 2.5, 0.0, 0], [reader.safe_get({ "a" => 5 }, :a), reader.extract_numeric_metric({ a: "2.5" }, :a), reader.extract_numeric_metric({ a: "0" }, :a),
                                    reader.extract_numeric_metric({ a: "many" }, :a)]
    assert_equal "tasker.task", reader.build_metric_name("tasker.", "task")
  end

  def test_kinds_of_errors
    { "Faraday::ConnectionFailed" => "network", "ActiveRecord::RecordNotFound" => "not_found", "UnauthorizedError" => "auth", "RateLimitError" => "rate_limit",
      "InvalidCard" => "client_error", "ServerError" => "server_error", "RuntimeError" => "runtime", "Odd" => "other", nil => "unknown" }.each do |name, kind|
      assert_equal kind, Reader.new.extract_error_metrics({ exception_class: name })[:error_type], name.to_s
    end
  end
end

# frozen_string_literal: true

require_relative "helper"

# What the engine tells, as the events that subscribers know.
class EventsEngineTest < Minitest::Test
  Events = Tasker::Events

  TASK = { "name" => "order", "namespace_name" => "shop", "version" => "1.2.0", "created_at" => "2026-01-01T00:00:00Z", "source_system" => "web" }.freeze
  STEP = { "id" => 7, "name" => "charge", "class" => "Charge", "attempts" => 2, "retry_limit" => 3, "retryable" => true, "parents" => ["cart"],
           "started_at" => "2026-01-01T00:00:01Z" }.freeze
  ERROR = { "class" => "KeyError", "message" => "gone", "backtrace" => ["a.rb:1"], "permanent" => false }.freeze
  TOLD = { "task_id" => 4, "at" => "2026-01-01T00:00:02.5Z", "state" => "in_progress", "task" => TASK }.freeze
  ENDED = TOLD.merge("kind" => "task_ended", "context" => { "total" => 9 }, "total_steps" => 3, "completed_steps" => 2, "failed_steps" => 1,
                     "pending_steps" => 0).freeze

  def setup
    @before = Events.subscriptions
    @heard = {}
  end

  def teardown
    Events.subscriptions = @before
  end

  def tell(told, *names)
    names.each { |name| Events.subscribe(name) { |event| @heard[event.name] = event } }
    Events::FromEngine.publish(told)
    @heard.keys
  end

  def test_a_task_that_is_complete
    assert_equal %w[task.completed workflow.task_completed workflow.task_finalization_completed observability.task.finalize],
                 tell(ENDED.merge("state" => "complete"), nil)
    facts = @heard["task.completed"].to_h

    assert_equal [4, "order", "shop", "complete", "completed", 2.5, 3, 2], facts.values_at(:task_id, :task_name, :namespace_name, :status, :event_type,
                                                                                           :total_execution_duration, :total_steps, :completed_steps)
    assert_equal 9, facts[:context][:total]
    assert_nil facts[:current_execution_duration]
    assert_equal "complete", @heard["workflow.task_finalization_completed"][:final_status]
  end

  def test_a_task_that_failed
    failed = [{ "id" => 7, "name" => "charge", "attempts" => 3, "error" => ERROR }]
    tell(ENDED.merge("state" => "error", "failed" => failed), "task.failed", "task.completed")
    facts = @heard["task.failed"].to_h

    assert_equal %w[gone KeyError charge], facts.values_at(:error_message, :exception_class, :failed_step_name)
    assert_equal [["charge", "gone", 3]], facts[:error_steps].map { |step| step.values_at(:step_name, :error_message, :attempts) }
    assert_equal ["task.failed"], @heard.keys
  end

  def test_a_failed_task_whose_error_another_process_has_seen
    tell(ENDED.merge("state" => "error", "failed" => [{ "id" => 7, "name" => "charge" }]), "task.failed")

    assert_equal ["the task has ended in error", "charge"], @heard["task.failed"].to_h.values_at(:error_message, :failed_step_name)
  end

  def test_a_step_that_is_tried_again
    told = TOLD.merge("kind" => "step_retrying", "step" => STEP, "error" => ERROR, "next" => "2026-01-01T00:00:04Z", "backoff" => "exponential", "duration" => 1.5)
    tell(told, "step.retry_requested", "observability.step.backoff", "workflow.step_execution_failed")
    facts = @heard["step.retry_requested"].to_h

    assert_equal ["retry", 7, "charge", 2, 1, 1.5, "exponential", "gone"],
                 facts.values_at(:event_type, :step_id, :step_name, :attempt_number, :previous_attempts, :backoff_seconds, :backoff_strategy, :retry_reason)
    assert_equal 3, @heard.size
  end

  def test_a_step_whose_attempts_are_used_up
    told = TOLD.merge("kind" => "step_failed", "step" => STEP, "error" => ERROR)

    assert_includes tell(told, nil), "observability.step.max_retries_reached"
    @heard.clear

    refute_includes tell(told.merge("error" => ERROR.merge("permanent" => true))), "observability.step.max_retries_reached"
    assert_includes @heard.keys, "workflow.step_failed"
  end

  def test_every_kind
    told = ENDED.merge("step" => STEP, "error" => ERROR, "next" => "2026-01-01T00:00:04Z")
    tell({ "kind" => "none" }, nil)
    Events::Names.kinds.each do |kind|
      %w[in_progress complete error cancelled].each { |state| tell(told.merge("kind" => kind, "state" => state)) }
    end

    assert_equal Events::Names.published.reject { |entry| entry.source == :step }.map(&:name).sort, @heard.keys.sort
    @heard.each_value { |event| assert_kind_of Time, event[:timestamp], event.name }
  end

  def test_a_task_that_waits_before_it_has_begun
    tell({ "kind" => "task_waiting", "task_id" => 4, "state" => "pending", "at" => "2026-01-01T00:00:02Z", "next" => "2026-01-01T00:00:04Z" }, "workflow.no_viable_steps")

    assert_in_delta 2.0, @heard["workflow.no_viable_steps"][:delay_seconds]
  end

  def test_what_is_wanted
    wanted = ->(*patterns) { Events::FromEngine.wanted(patterns.map { |pattern| Events::Subscription.new(pattern, nil, false, nil) }) }

    assert_empty wanted.call
    assert_empty wanted.call("step.completed", "order.shipped")
    assert_equal %w[task_ended], wanted.call("task.failed")
    assert_equal Events::Names.kinds, wanted.call(nil)
    assert_equal %w[task_started task_ended].sort, wanted.call(/\Atask\./).sort
    assert_empty Events::FromEngine.wanted([Events::Subscription.new(nil, nil, true, nil)])
  end

  def test_the_host_is_told_of_changes
    told = 0
    Events.engine = -> { told += 1 }
    subscription = Events.subscribe("task.completed") { nil }
    Events.unsubscribe(subscription)

    assert_equal 2, told
  ensure
    Events.engine = nil
  end

  def test_the_guide_has_every_event
    guide = File.read(File.expand_path("../../../docs/events.md", __dir__), encoding: "UTF-8")
    short = /\A(handler|plugin|subscriber|registry)\.|\Aworkflow\.task_reenqueue_(requested|failed)\z/
    missing = Events::Names.with_constants.reject { |name| guide.include?("`#{name}`") || name.match?(short) }

    assert_empty missing
  end

  def test_own_events_only
    heard = []
    Events.subscribe_to_own { |event| heard << event.name }
    Events.publish("order.shipped")
    Events::FromEngine.publish(ENDED.merge("state" => "complete"))

    refute_predicate Events, :listened_to?

    all = []
    Events.subscribe { |event| all << event.name }
    run_step(handler { def process(*) = Tasker::Events.publish("order.paid") })

    assert_includes all, "step.completed"
    assert_equal ["order.shipped", "order.paid"], heard
  end
end

# frozen_string_literal: true

require_relative "helper"

class EventsTest < Minitest::Test
  Events = Tasker::Events

  def setup
    @subscriptions = []
  end

  def teardown
    @subscriptions.each { |subscription| Events.unsubscribe(subscription) }
  end

  def listen(pattern = nil)
    heard = []
    @subscriptions << Events.subscribe(pattern) { |event| heard << event }
    heard
  end

  def test_a_step_that_succeeds
    heard = listen
    run_step(handler { def process(*) = { a: 1 } }, step: { attempts: 2 })

    assert_equal %w[step.execution_requested step.before_handle step.completed], heard.map(&:name)
    done = heard.last
    assert_equal [1, 1, "step_under_test", 2, 3], done.to_h.values_at(:task_id, :step_id, :step_name, :attempt_number, :retry_limit)
    assert_equal({ a: 1 }, done[:step_results])
    assert_kind_of Float, done["execution_duration"]
    assert_kind_of Time, done[:timestamp]
  end

  def test_a_step_that_fails
    heard = listen("step_failed")
    plain = handler(Object) { def process(*) = raise(KeyError, "gone") }
    assert_raises(KeyError) { run_step(plain) }

    assert_equal [%w[step.failed gone KeyError]], heard.map { |e| [e.name, e[:error_message], e[:exception_class]] }
  end

  def test_an_error_whose_message_raises_is_raised_as_it_is
    heard = listen("step.failed")
    odd = Class.new(StandardError) { def message = raise("no") }
    raising = handler { define_method(:process) { |*| raise odd } }

    assert_raises(odd) { run_step(raising) }
    assert_match(/cannot be had/, heard.first[:error_message])
  end

  def test_names_that_are_heard
    heard = { "step.started" => listen("step.started"), step_completed: listen(:step_completed), /\Astep\./ => listen(/\Astep\./) }
    run_step(handler { def process(*) = nil })

    assert_equal [1, 1, 3], heard.values.map(&:size)
  end

  def test_events_of_a_handlers_own
    heard = listen("payment.risk_flagged")
    flagging = handler do
      def self.custom_event_configuration = [{ name: "payment.risk_flagged", description: "a person should look" }]
      def process(*) = publish_custom_event("payment.risk_flagged", score: 7)
    end
    run_step(flagging)

    assert_equal [7, "custom"], [heard.first[:score], heard.first[:event_type]]
    assert_equal "a person should look", Events.custom.dig("payment.risk_flagged", :description)
  end

  def test_a_configuration_of_events_that_is_none
    [{}, [1], [{ description: "no name" }]].each do |configured|
      odd = handler { def process(*) = nil }
      odd.define_singleton_method(:custom_event_configuration) { configured }
      assert_raises(Tasker::ConfigurationError) { Tasker::Execution.check(odd) }
    end
  end

  def test_a_subscriber_that_raises_harms_nobody
    heard = nil
    log = logged do
      @subscriptions << Events.subscribe("step.completed") { raise "subscriber's trouble" }
      heard = listen("step.completed")
      assert_equal 5, run_step(handler { def process(*) = 5 })
    end

    assert_equal 1, heard.size
    assert_match(/a subscriber to step\.completed raised RuntimeError: subscriber's trouble/, log)
  end

  def test_nobody_listens_any_more
    heard = listen
    assert_predicate Events, :listened_to?
    Events.unsubscribe(@subscriptions.pop)
    refute_predicate Events, :listened_to?
    run_step(handler { def process(*) = nil })

    assert_empty heard
    assert_nil Events.publish("into.the.void")
    assert_raises(ArgumentError) { Events.subscribe("x") }
  end

  class Recorder < Tasker::Events::Subscribers::BaseSubscriber
    subscribe_to "step.completed", "order.shipped"
    attr_reader :seen

    def handle_step_completed(event) = (@seen ||= []) << safe_get(event, :step_name)
    def handle_order_shipped(event) = (@seen ||= []) << safe_get(event, "order_id") << safe_get(event, :absent, :none)
  end

  class Narrow < Recorder
    filter_events { |name| name.start_with?("order.") }
  end

  # Gives subscriptions back when the test ends.
  def publisher
    subscriptions = @subscriptions
    Object.new.tap do |object|
      object.define_singleton_method(:subscribe) { |name, &block| subscriptions << Events.subscribe(name, &block) }
    end
  end

  def test_subscriber_classes
    recorder = Recorder.subscribe(publisher)
    narrow = Narrow.subscribe(publisher)
    run_step(handler do
      def process(*) = publish_event("order.shipped", "order_id" => 7)
    end)

    assert_equal [7, :none, "step_under_test"], recorder.seen
    assert_equal [7, :none], narrow.seen
    assert_equal %w[step.completed order.shipped], Narrow.subscribed_events
    assert_same Events, Tasker::Events::Publisher.instance
  end

  def test_a_subscriber_without_the_method
    lacking = Class.new(Tasker::Events::Subscribers::BaseSubscriber) { subscribe_to "a.b" }

    assert_match(/events_test\.rb:\d+: .* subscribes to a\.b, but has no method handle_a_b/, logged { lacking.subscribe(publisher) })
    assert_empty @subscriptions
  end

  def test_a_subscriber_with_arguments
    given = Class.new(Tasker::Events::Subscribers::BaseSubscriber) do
      def handle_order_placed(event) = (@seen ||= []) << event[:id]
      attr_reader :seen
    end
    subscriber = given.new(name: "orders", events: ["order.placed"], config: { a: 1 })
    subscriber.subscribe_to_publisher(publisher)
    Events.publish("custom.order.placed", id: 3)

    assert_equal [3], subscriber.seen
  end

  def test_a_subscriber_to_tasks_costs_a_step_nothing
    listen("task.completed")

    refute_predicate Events, :listened_to?
    listen(:step_failed)

    assert_predicate Events, :listened_to?
  end

  def test_a_subscriber_that_raises_what_is_no_standard_error
    log = logged do
      @subscriptions << Events.subscribe("step.started") { raise NotImplementedError, "later" }

      assert_equal 5, run_step(handler { def process(*) = 5 })
    end

    assert_match(/raised NotImplementedError: later/, log)
  end

  def test_a_subscriber_that_calls_exit
    log = logged do
      @subscriptions << Events.subscribe("step.completed") { exit }

      assert_equal 5, run_step(handler { def process(*) = 5 })
    end

    assert_match(/a subscriber to step.completed raised SystemExit/, log)
  end

  def test_a_handler_that_raises_what_is_no_standard_error
    heard = []
    @subscriptions << Events.subscribe("step.failed") { |event| heard << event[:exception_class] }

    assert_raises(NotImplementedError) { run_step(handler { def process(*) = raise(NotImplementedError) }) }
    assert_equal ["NotImplementedError"], heard
  end

  def test_a_subscriber_whose_error_cannot_be_told
    odd = Class.new(StandardError) { def message = raise("no") }
    log = logged do
      @subscriptions << Events.subscribe("step.completed") { raise odd }

      assert_equal 5, run_step(handler { def process(*) = 5 })
    end

    assert_match(/a subscriber to step\.completed raised .*cannot be had/, log)
  end

  def test_facts_of_a_step
    heard = listen
    run_step(handler { def process(*) = { "ok" => true } }, step: { attempts: 2, retry_limit: 2, last_attempted_at: "2026-01-02T03:04:05Z" },
                                                            task: { name: "order", namespace_name: "shop", version: "1.2.0" })
    started, _, done = heard

    assert_equal ["order", "shop", "1.2.0", "2026-01-02T03:04:05.000Z", 1], done.to_h.values_at(:task_name, :namespace_name, :task_version, :started_at, :retry_count)
    assert_equal [[], {}], [started[:step_dependencies], started[:step_inputs].to_h]
    assert done[:results][:ok]
    assert_match(/\A\d{4}-.*Z\z/, done[:completed_at])
  end

  def test_constants_of_tasker_engine
    assert_equal "step.completed", Tasker::Constants::StepEvents::COMPLETED
    assert_equal "complete", Tasker::Constants::WorkflowStepStatuses::COMPLETE
    assert_equal "waiting_for_retry", Tasker::Constants::WorkflowStepStatuses::WAITING_FOR_RETRY
    assert_equal "task.completed", Tasker::Constants::TaskEvents::COMPLETED
    assert_equal "workflow.no_viable_steps", Tasker::Constants::WorkflowEvents::NO_VIABLE_STEPS
    assert_equal "observability.step.backoff", Tasker::Constants::ObservabilityEvents::Step::BACKOFF
    assert_equal "handler.registered", Tasker::Constants::RegistryEvents::HANDLER_REGISTERED
    refute Tasker::Constants::WorkflowEvents.const_defined?(:ERROR)
  end
end

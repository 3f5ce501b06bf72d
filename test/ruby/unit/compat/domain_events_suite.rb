# frozen_string_literal: true

require_relative "helper"

# Publishers, subscribers and their registries. Steps publish in task_events_test.go.
class DomainEventsSuite < Minitest::Test
  Domain = TaskerCore::DomainEvents

  class Receipts < Domain::BasePublisher
    def name = "DomainEventsSuite::Receipts"
    def transform_payload(step_result, _declaration, context = nil) = { cents: step_result[:result][:cents], tier: context[:task]["context"]["tier"], step: context[:step_name] }
    def should_publish?(step_result, *) = !step_result[:result][:quiet]
    def additional_metadata(*) = { more: 1 }
  end

  class Failing < Receipts
    def name = "failing"
    def after_publish(*) = raise("too late")
  end

  class Heard < Domain::BaseSubscriber
    subscribes_to "payment.*"

    class << self
      def events = @events ||= []
    end

    def before_handle(event) = event[:business_payload]["skip"].nil?
    def handle(event) = event[:business_payload][:boom] ? raise("boom") : self.class.events << event
  end

  def setup
    Heard.events.clear
    registry.reset!
    publishers.reset!
    TaskerCore::Worker::InProcessDomainEventPoller.instance.clear_subscriptions!
  end

  def registry = Domain::SubscriberRegistry.instance
  def publishers = Domain::PublisherRegistry.instance

  def publish(publisher, name, result, success: true)
    context = Domain::StepFacts.new(Tasker::Testing.sequence(context: { tier: "gold" }, task: { name: "order", namespace_name: "shop" }))
    publisher.publish(event_name: name, event_declaration: { name: name }, step_context: context,
                      step_result: Tasker::Context.wrap(success: success, result: result, metadata: {}))
  end

  def test_an_event_and_its_subscriber
    registry.register(Heard)
    registry.start_all!

    assert publish(publishers.get_or_default("DomainEventsSuite::Receipts"), "payment.processed", { cents: 5 })
    refute publish(publishers.get("DomainEventsSuite::Receipts"), "payment.processed", { quiet: true })
    publish(Receipts.new, "order.done", { cents: 1 })
    event = Heard.events.first

    assert_equal 1, Heard.events.size
    assert_equal ["payment.processed", 5, "gold", "step_under_test", 1, "shop", "order", true],
                 [event[:event_name], event[:business_payload][:cents], event["business_payload"]["tier"], event[:business_payload][:step], event[:metadata][:more],
                  event[:metadata]["namespace"], event[:context][:task_name], event[:execution_result][:success]]
    assert_match(/\A\h{8}-/, event[:metadata][:task_uuid])
  end

  def test_what_a_subscriber_skips_and_raises
    registry.register_instance(Heard.new)
    registry.start_all!
    text = logged { [{ skip: 1 }, { boom: 1 }, { cents: 2 }].each { |payload| publish(publishers.get_or_default(nil), "payment.done", payload) } }

    assert_equal 1, Heard.events.size
    assert_match(/Heard could not handle payment\.done: RuntimeError: boom/, text)
    registry.stop_all!
    publish(publishers.get_or_default(nil), "payment.done", {})

    assert_equal 1, Heard.events.size
    assert_equal [false, 1, 0], registry.stats.values_at(:started, :subscriber_count, :active_count)
  end

  class Broken < Heard
    def initialize = raise("no pager")
  end

  def test_a_subscriber_that_cannot_be_made
    [Broken, Heard].each { |subscriber| registry.register(subscriber) }
    text = logged { registry.start_registered }
    publish(publishers.get_or_default(nil), "payment.done", {})

    assert_match(/Broken could not be made: RuntimeError: no pager/, text)
    assert_equal 1, Heard.events.size
  end

  # What a handler has returned says nothing about the thread's next step.
  def test_what_was_returned_is_of_its_step
    run_step(core { def call(_context) = success(result: true, metadata: { provider: "bank" }) })
    report(core { def call(_context) = failure(message: "busy", error_code: "LINE") })

    assert_nil Thread.current[:tasker_core_outcome]
  end

  def test_a_hook_that_raises
    assert_match(/payment\.done could not be published: RuntimeError: too late/, logged { refute publish(Failing.new, "payment.done", {}) })
  end

  def test_patterns
    poller = TaskerCore::Worker::InProcessDomainEventPoller.instance
    heard = []
    %w[* payment.* payment.done order.done].each { |pattern| poller.subscribe(pattern) { heard << pattern } }
    poller.subscribe("*") { raise NotImplementedError, "later" }
    text = logged { publish(publishers.get_or_default(nil), "payment.done", {}) }

    assert_equal %w[* payment.* payment.done], heard
    assert_match(/a subscriber to payment\.done raised NotImplementedError/, text)
    assert_equal 5, poller.subscriber_count
    poller.unsubscribe("*")

    assert_equal 3, poller.subscriber_count
  end

  def test_the_registry_of_publishers
    publishers.register(Receipts.new)

    assert publishers.registered?("default")
    assert_raises(Domain::PublisherRegistry::DuplicatePublisherError) { publishers.register(Receipts.new) }
    assert_raises(Domain::PublisherNotFoundError) { publishers.get_strict("none") }
    assert_raises(ArgumentError) { publishers.register(Object.new) }
    text = logged { 2.times { assert_equal "default", publishers.get_or_default("none.such").name } }

    assert_equal 1, text.scan("no publisher is registered as none.such").size
    assert_match(/nobody/, assert_raises(Domain::ValidationError) { publishers.validate_required!(%w[default nobody]) }.message)
    publishers.validate_required!(["DomainEventsSuite::Receipts"])

    assert_raises(Domain::RegistryFrozenError) { publishers.clear }
  end

  def test_what_cannot_be_registered
    assert_raises(ArgumentError) { registry.register(Object) }
    assert_raises(ArgumentError) { registry.register_instance(Heard) }
  end
end

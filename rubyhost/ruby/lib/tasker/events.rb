# frozen_string_literal: true

module Tasker
  # Publishes what happens to steps inside this process, for metrics, error
  # trackers and tests. Subscribers run on the step's own thread, one after the
  # other. An exception from a subscriber is logged and goes no further.
  #
  # @example
  #   Tasker::Events.subscribe("step.failed") do |event|
  #     Sentry.capture_message(event[:error_message])
  #   end
  module Events
    autoload :Subscribers, "tasker/events/base_subscriber"

    STEP_STARTED = "step.execution_requested"
    STEP_BEFORE_HANDLE = "step.before_handle"
    STEP_COMPLETED = "step.completed"
    STEP_FAILED = "step.failed"

    # The short names that subscribers may use as well.
    ALIASES = {
      "step_started" => STEP_STARTED, "step.started" => STEP_STARTED,
      "step_before_handle" => STEP_BEFORE_HANDLE,
      "step_completed" => STEP_COMPLETED,
      "step_failed" => STEP_FAILED
    }.freeze
    private_constant :ALIASES

    # One event. Its facts can be read with Symbols or Strings.
    class Event
      # @return [String]
      attr_reader :name
      # @return [Hash{Symbol => Object}]
      attr_reader :payload

      def initialize(name, payload)
        @name = name
        @payload = payload
      end

      # @param key [Symbol, String]
      def [](key) = @payload[key.to_sym]

      # @param key [Symbol, String]
      def fetch(key, *default, &block) = @payload.fetch(key.to_sym, *default, &block)

      # @return [Hash{Symbol => Object}]
      def to_h = @payload
    end

    # What {Events.subscribe} returns.
    Subscription = Struct.new(:pattern, :block) do
      # @param name [String]
      def wants?(name) = pattern.nil? || pattern === name # rubocop:disable Style/CaseEquality
    end

    @subscriptions = [].freeze
    @custom = {}.freeze
    @lock = Mutex.new

    class << self
      # @param pattern [String, Symbol, Regexp, nil] an event's name; nil for all
      # @yieldparam event [Event]
      # @return [Subscription] for {.unsubscribe}
      def subscribe(pattern = nil, &block)
        raise ArgumentError, "a subscriber needs a block" unless block

        pattern = canonical(pattern) unless pattern.nil? || pattern.is_a?(Regexp)
        subscription = Subscription.new(pattern, block)
        @lock.synchronize { @subscriptions = [*@subscriptions, subscription].freeze }
        subscription
      end

      # @param subscription [Subscription]
      # @return [nil]
      def unsubscribe(subscription)
        @lock.synchronize { @subscriptions = @subscriptions.reject { |s| s.equal?(subscription) }.freeze }
        nil
      end

      # Tests put them back as they were.
      #
      # @api private
      # @return [Array<Subscription>] frozen
      attr_accessor :subscriptions

      # @return [Boolean] whether there is any subscription
      def listened_to?
        !@subscriptions.empty?
      end

      # @param name [String, Symbol]
      # @param payload [Hash]
      # @return [nil]
      def publish(name, payload = {})
        subscriptions = @subscriptions
        return if subscriptions.empty?

        name = canonical(name)
        event = nil
        subscriptions.each do |subscription|
          next unless subscription.wants?(name)

          event ||= Event.new(name, { timestamp: Time.now.utc }.merge(payload.to_h.transform_keys { |key| key.to_s.to_sym }))
          deliver(subscription, event)
        end
        nil
      end

      # Publishes a step's start and end around the block.
      #
      # @api private
      def around(step)
        began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        publish(STEP_STARTED, step_facts(step, "started"))
        publish(STEP_BEFORE_HANDLE, step_facts(step, "before_handle"))
        value = yield
        publish(STEP_COMPLETED, step_facts(step, "completed", since: began).merge(step_results: step.results))
        value
      rescue StandardError => e
        publish(STEP_FAILED, step_facts(step, "failed", since: began).merge(error_facts(e)))
        raise
      end

      # Registers the events of a handler class; see
      # {StepHandler::Base.custom_event_configuration}.
      #
      # @param handler_class [Class]
      # @return [nil]
      # @raise [ConfigurationError] when the list is not an Array of Hashes
      def register_handler(handler_class)
        return unless handler_class.respond_to?(:custom_event_configuration)

        configured = handler_class.custom_event_configuration
        unless configured.is_a?(Array) && configured.all? { |c| c.is_a?(Hash) && (c[:name] || c["name"]) }
          raise ConfigurationError,
                "#{handler_class}.custom_event_configuration has to be an Array of Hashes with a name each"
        end
        configured.each do |c|
          register(c[:name] || c["name"], description: c[:description] || c["description"], fired_by: handler_class.name)
        end
        nil
      end

      # @param name [String]
      # @param description [String, nil]
      # @param fired_by [String, nil] the class that publishes it
      # @return [nil]
      def register(name, description: nil, fired_by: nil)
        entry = { name: name.to_s, description: description, fired_by: fired_by }.freeze
        @lock.synchronize { @custom = @custom.merge(name.to_s => entry).freeze }
        nil
      end

      # @return [Hash{String => Hash}] the custom events, by name
      attr_reader :custom

      # @api private
      # @return [Hash] the facts that every event of a step has
      def step_facts(step, type, since: nil)
        facts = {
          task_id: step.task_id, step_id: step.workflow_step_id, step_name: step.name,
          attempt_number: step.attempts, retry_limit: step.retry_limit, retryable: step.retryable,
          event_type: type
        }
        facts[:execution_duration] = Process.clock_gettime(Process::CLOCK_MONOTONIC) - since if since
        facts
      end

      # @api private
      # @param name [String, Symbol] also a short or custom one
      # @return [String] the name under which the event is published
      def canonical_name(name)
        canonical(name)
      end

      private

      # Uses the error's report, because the error's own methods may raise.
      def error_facts(error)
        report = Execution.describe(error)
        { error_message: report["message"], exception_class: report["class"], backtrace: report["backtrace"], error: error }
      end

      def canonical(name)
        name = name.to_s.delete_prefix("custom.")
        ALIASES.fetch(name, name)
      end

      def deliver(subscription, event)
        subscription.block.call(event)
      rescue StandardError => e
        Tasker.logger.error("a subscriber to #{event.name} raised #{e.class}: #{e.message} (#{e.backtrace&.first})")
      end
    end

    # tasker-engine's code publishes through this object.
    module Publisher
      # @return [Module] {Events}
      def self.instance = Events
    end

    # For handlers that publish events of their own.
    module Publishing
      # @param name [String] such as "payment.risk_flagged"
      # @param payload [Hash]
      # @return [nil]
      def publish_event(name, payload = {})
        Events.publish(name, payload)
      end

      # Like {#publish_event}, but marked as a custom event.
      def publish_custom_event(name, payload = {})
        Events.publish(name, payload.merge(event_type: "custom"))
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  # Publishes what happens to steps and tasks, for metrics, error trackers and tests.
  #
  # The events of steps come on the step's own thread; those of tasks come from the engine,
  # after the commit, on a thread of their own. An exception from a subscriber is logged
  # and goes no further.
  #
  # @example
  #   Tasker::Events.subscribe("step.failed") do |event|
  #     Sentry.capture_message(event[:error_message])
  #   end
  module Events
    autoload :Catalog, "tasker/events/catalog"
    autoload :CustomRegistry, "tasker/events/custom_registry"
    autoload :EnginePayload, "tasker/events/from_engine"
    autoload :EventPayloadBuilder, "tasker/events/event_payload_builder"
    autoload :FromEngine, "tasker/events/from_engine"
    autoload :Names, "tasker/events/names"
    autoload :StepPayload, "tasker/events/event_payload_builder"
    autoload :Subscribers, "tasker/events/base_subscriber"
    autoload :Unheard, "tasker/events/unheard"

    STEP_STARTED = "step.execution_requested"
    STEP_BEFORE_HANDLE = "step.before_handle"
    STEP_COMPLETED = "step.completed"
    STEP_FAILED = "step.failed"

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
    #
    # @!attribute own_only [Boolean] whether it hears only what other code publishes, and not
    #   what the engine tells and what each step's run does
    # @!attribute place [String, nil] where it was made, as file:line
    Subscription = Struct.new(:pattern, :block, :own_only, :place) do
      # @param name [String]
      def wants?(name) = pattern.nil? || pattern === name # rubocop:disable Style/CaseEquality
    end

    @subscriptions = [].freeze
    @custom = {}.freeze
    @lock = Mutex.new
    @of_steps = false

    class << self
      # @param pattern [String, Symbol, Regexp, nil] an event's name; nil for all
      # @yieldparam event [Event]
      # @return [Subscription] for {.unsubscribe}
      def subscribe(pattern = nil, &block)
        raise ArgumentError, "a subscriber needs a block" unless block

        place = caller_locations(1..20).find { |at| !at.path.start_with?(__dir__, "<internal:") }
        add(pattern, block, false, place && "#{place.path}:#{place.lineno}")
      end

      # Like {.subscribe}, for a place that is known.
      #
      # @api private
      def subscribe_from(place, name, &block) = add(name, block, false, place)

      # Like {.subscribe}, for what handlers and other code in this process publish. What the
      # engine tells of tasks is left out, and so are the start and the end of each step.
      #
      # @api private
      def subscribe_to_own(&block) = add(nil, block, true, nil)

      # @param subscription [Subscription]
      # @return [nil]
      def unsubscribe(subscription)
        @lock.synchronize { change(@subscriptions.reject { |s| s.equal?(subscription) }) }
        tell
      end

      # @api private
      # @return [Array<Subscription>] frozen
      attr_reader :subscriptions

      # Tests put them back as they were.
      #
      # @api private
      def subscriptions=(list)
        @lock.synchronize { change(list) }
        tell
      end

      # @return [Boolean] whether anybody listens to an event of a step
      def listened_to? = @of_steps

      # The host asks to be told when other events of the engine are listened to.
      #
      # @api private
      # @yieldparam kinds [Array<String>] what the engine calls them
      attr_writer :engine

      # Runs the block on the thread on which the engine's events are delivered. Outside the host
      # it runs at once.
      #
      # @api private
      def later(&block) = defined?(Host::EngineEvents) ? Host::EngineEvents.later(&block) : block.call

      # @param name [String, Symbol]
      # @param payload [Hash]
      # @return [nil]
      def publish(name, payload = {})
        dispatch(Names.canonical(name)) { { timestamp: Time.now.utc }.merge(payload.to_h.transform_keys { |key| key.to_s.to_sym }) }
      end

      # Publishes an event whose payload is only made when somebody listens.
      #
      # @api private
      # @param name [String] the canonical one
      # @param of_run [Boolean] whether a step's run is what publishes it, and no other code
      # @yieldreturn [Hash{Symbol => Object}]
      # @return [nil]
      def dispatch(name, of_run: false)
        event = nil
        @subscriptions.each do |subscription|
          next unless subscription.wants?(name)
          next if subscription.own_only && (of_run || FromEngine.publishing?)

          event ||= Event.new(name, yield)
          deliver(subscription, event)
        end
        nil
      rescue StandardError => e # in the payload: it must not fail the step
        Tasker.logger.error("the event #{name} could not be published: #{in_a_line(e)}")
        nil
      end

      # Publishes a step's start and end around the block.
      #
      # @api private
      def around(step)
        began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        dispatch(STEP_STARTED, of_run: true) { StepPayload.of(step, :started) }
        dispatch(STEP_BEFORE_HANDLE, of_run: true) { StepPayload.of(step, :before_handle) }
        value = yield
        dispatch(STEP_COMPLETED, of_run: true) { StepPayload.ended(step, :completed, since(began)) }
        value
      rescue StandardError, ScriptError => e
        dispatch(STEP_FAILED, of_run: true) { StepPayload.ended(step, :failed, since(began), e) }
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
      # @param fired_by [String, Array<String>, nil] who publishes it
      # @return [nil]
      def register(name, description: nil, fired_by: nil)
        entry = { name: name.to_s, description: description, fired_by: fired_by }.freeze
        @lock.synchronize { @custom = @custom.merge(name.to_s => entry).freeze }
        nil
      end
      alias register_event register

      # @return [Hash{String => Hash}] the custom events, by name
      attr_reader :custom

      # Forgets the custom events.
      #
      # @api private
      def forget_custom
        @lock.synchronize { @custom = {}.freeze }
        nil
      end

      # @param name [String] with a namespace, such as "order.fulfilled"
      # @param description [String]
      # @param fired_by [Array<String>] who publishes it
      # @return [nil]
      # @raise [ArgumentError] when the name is one of the engine's, or has no namespace
      def register_custom_event(name, description: "Custom event", fired_by: [])
        CustomRegistry.instance.register_event(name, description: description, fired_by: fired_by)
      end

      # The methods of {Catalog}.
      %i[catalog event_info task_events step_events workflow_events observability_events custom_events complete_catalog search_events
         events_by_namespace print_catalog].each do |name|
        define_method(name) { |*args, **options| Catalog.public_send(name, *args, **options) }
      end

      # @api private
      # @param name [String, Symbol] also a short or custom one
      # @return [String] the name under which the event is published
      def canonical_name(name) = Names.canonical(name)

      # Uses the error's report, because the error's own methods may raise.
      #
      # @api private
      # @return [String] its class, the first line of its message and its place
      def in_a_line(error)
        report = Execution.describe(error)
        "#{report["class"]}: #{report["message"].to_s[/.*/]} (#{report["backtrace"].to_a.first})"
      end

      private

      def add(pattern, block, own_only, place)
        pattern = Names.canonical(pattern) unless pattern.nil? || pattern.is_a?(Regexp)
        subscription = Subscription.new(pattern, block, own_only, place)
        @lock.synchronize { change([*@subscriptions, subscription]) }
        tell
        subscription
      end

      # Steps ask whether anybody listens, so it is known beforehand.
      def change(list)
        @subscriptions = list.freeze
        @of_steps = list.any? { |subscription| !subscription.own_only && Names.of_steps.any? { |name| subscription.wants?(name) } }
      end

      def tell
        @engine&.call
        nil
      end

      def since(began) = Process.clock_gettime(Process::CLOCK_MONOTONIC) - began

      # A subscriber's NotImplementedError, or its exit, is no StandardError, and must not fail
      # the step either.
      def deliver(subscription, event)
        subscription.block.call(event)
      rescue StandardError, ScriptError, SystemStackError, SystemExit => e
        Tasker.logger.error("a subscriber to #{event.name} raised #{in_a_line(e)}")
      end
    end

    # tasker-engine's code publishes through this object.
    module Publisher
      # @return [Module] {Events}
      def self.instance = Events
    end
  end
end

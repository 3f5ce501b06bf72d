# frozen_string_literal: true

module TaskerCore
  # What Tasker Core's workers are made of.
  module Worker
    # Hands events to the subscribers of this process. The name is Tasker Core's: nothing is
    # polled here.
    class InProcessDomainEventPoller
      class << self
        # @return [InProcessDomainEventPoller]
        def instance = @instance ||= new
      end

      # @return [Logger]
      attr_reader :logger

      def initialize
        @logger = Logger.instance
        @lock = Mutex.new
        @subscribers = {}.freeze
        @active = true
      end

      # @param pattern [String] an event's name, "payment.*", or "*"
      # @yieldparam event [Tasker::Context]
      # @return [void]
      def subscribe(pattern, &handler)
        raise ArgumentError, "a subscriber needs a block" unless handler
        raise ArgumentError, "a pattern of events cannot be empty" if pattern.nil? || pattern.empty?

        @lock.synchronize { @subscribers = @subscribers.merge(pattern => [*@subscribers[pattern], handler].freeze).freeze }
      end

      # @param pattern [String]
      # @param handler [Proc, nil] only this one
      # @return [void]
      def unsubscribe(pattern, handler = nil)
        @lock.synchronize do
          left = handler ? @subscribers.fetch(pattern, []).reject { |one| one.equal?(handler) } : []
          @subscribers = @subscribers.reject { |name, _| name == pattern }
          @subscribers = @subscribers.merge(pattern => left.freeze) if left.any?
          @subscribers.freeze
        end
      end

      # @return [void]
      def clear_subscriptions!
        @lock.synchronize { @subscribers = {}.freeze }
      end

      # @return [Integer]
      def subscriber_count = @subscribers.each_value.sum(&:size)

      # @return [void]
      def start!
        @active = true
      end

      # Events are dropped from now on.
      #
      # @return [void]
      def stop!
        @active = false
      end

      # @return [Boolean]
      def active? = @active

      # @return [Hash]
      def stats = { active: @active, subscriber_count: subscriber_count, patterns: @subscribers.keys }

      # Calls the handlers of an event, one after the other.
      #
      # @api private
      # @param event [Tasker::Context]
      # @return [void]
      def dispatch(event)
        return unless @active

        name = event[:event_name]
        @subscribers.each { |pattern, handlers| handlers.each { |handler| call(handler, event, name) } if matches?(name, pattern) }
      end

      private

      def matches?(name, pattern)
        return name.start_with?(pattern.delete_suffix("*")) if pattern.end_with?(".*")

        pattern == "*" || pattern == name
      end

      def call(handler, event, name)
        handler.call(event)
      rescue StandardError, ScriptError => e
        logger.warn("a subscriber to #{name} raised #{Tasker::Events.in_a_line(e)}")
      end
    end
  end
end

# frozen_string_literal: true

module TaskerCore
  module DomainEvents
    # Handles the events whose names fit its patterns, after it was started.
    #
    # @example
    #   class Receipts < TaskerCore::DomainEvents::BaseSubscriber
    #     subscribes_to "payment.*"
    #
    #     def handle(event) = Mailer.receipt(event[:business_payload])
    #   end
    #   TaskerCore::DomainEvents::SubscriberRegistry.instance.register(Receipts)
    class BaseSubscriber
      class << self
        # @param patterns [Array<String>]
        # @return [Array<String>]
        def subscribes_to(*patterns)
          @patterns = patterns.flatten
        end

        # @return [Array<String>]
        def patterns = @patterns || ["*"]

        # @api private
        # @return [Boolean] whether one was registered or started
        attr_accessor :heard
      end

      # @return [Logger]
      attr_reader :logger
      # @return [Boolean]
      attr_reader :active
      alias active? active

      def initialize
        @logger = Logger.instance
        @active = false
        @subscriptions = []
      end

      # @return [void]
      def start!
        return if @active

        self.class.heard = true
        @active = true
        handler = ->(event) { handle_safely(event) }
        self.class.patterns.each do |pattern|
          Worker::InProcessDomainEventPoller.instance.subscribe(pattern, &handler)
          @subscriptions << [pattern, handler]
        end
      end

      # @return [void]
      def stop!
        return unless @active

        @active = false
        @subscriptions.each { |pattern, handler| Worker::InProcessDomainEventPoller.instance.unsubscribe(pattern, handler) }
        @subscriptions.clear
      end

      # @abstract
      # @param _event [Tasker::Context] with event_name, metadata, business_payload, execution_result and
      #   context
      # @return [void]
      def handle(_event)
        raise NotImplementedError, "#{self.class} has no method handle(event)"
      end

      # @return [Boolean] whether the event is to be handled
      def before_handle(_event) = true

      # @return [void]
      def after_handle(_event); end

      # @return [void]
      def on_handle_error(event, error)
        logger.error("#{self.class} could not handle #{event[:event_name]}: #{Tasker::Events.in_a_line(error)}")
      end

      private

      def handle_safely(event)
        return unless @active && before_handle(event)

        handle(event)
        after_handle(event)
      rescue StandardError, ScriptError => e
        on_handle_error(event, e)
      end
    end
  end
end

# frozen_string_literal: true

module TaskerCore
  module DomainEvents
    # The subscribers. Those that are registered are started when the first event comes, unless
    # they were stopped.
    class SubscriberRegistry
      class << self
        # @return [SubscriberRegistry]
        def instance = @instance ||= new
      end

      # @return [Logger]
      attr_reader :logger
      # @return [Array<BaseSubscriber>]
      attr_reader :subscribers

      def initialize
        @logger = Logger.instance
        @lock = Monitor.new
        @stopped = false
        reset
      end

      # @param subscriber_class [Class]
      # @return [void]
      def register(subscriber_class)
        unless subscriber_class.is_a?(Class) && subscriber_class < BaseSubscriber
          raise ArgumentError, "#{subscriber_class} has to be a class below BaseSubscriber"
        end

        subscriber_class.heard = true
        @lock.synchronize do
          @classes << subscriber_class unless @classes.include?(subscriber_class)
          @started = false
        end
      end

      # @param subscriber [BaseSubscriber]
      # @return [void]
      def register_instance(subscriber)
        raise ArgumentError, "a subscriber has to be a BaseSubscriber, not #{Tasker::Article.of(subscriber.class)}" unless subscriber.is_a?(BaseSubscriber)

        subscriber.class.heard = true
        @lock.synchronize do
          @subscribers << subscriber
          @started = false
        end
      end

      # @return [void]
      def start_all!
        @lock.synchronize do
          return if @started

          @started = true
          @stopped = false
          made, @classes = @classes, []
          made.each { |subscriber_class| make(subscriber_class) }
          @subscribers.each { |subscriber| start(subscriber) }
        end
      end

      # @return [void]
      def stop_all!
        @lock.synchronize do
          @subscribers.each(&:stop!)
          @started = false
          @stopped = true
        end
      end

      # @return [Boolean]
      def started? = @started

      # @return [Integer]
      def count = @subscribers.size + @classes.size

      # @return [Hash]
      def stats
        { started: @started, subscriber_count: @subscribers.size, active_count: @subscribers.count(&:active?),
          subscribers: @subscribers.map { |one| { class: one.class.name, active: one.active?, patterns: one.class.patterns } } }
      end

      # @return [void]
      def reset!
        stop_all!
        @stopped = false
        reset
      end

      # Starts those that nobody has started or stopped.
      #
      # @api private
      def start_registered
        start_all! unless @started || @stopped
      end

      private

      def reset
        @subscribers = []
        @classes = []
        @started = false
      end

      # The others are started, whatever the constructor of one does.
      def make(subscriber_class)
        @subscribers << subscriber_class.new
      rescue StandardError, ScriptError => e
        logger.error("#{subscriber_class} could not be made: #{Tasker::Events.in_a_line(e)}")
      end

      def start(subscriber)
        subscriber.start!
      rescue StandardError, ScriptError => e
        logger.error("#{subscriber.class} could not be started: #{Tasker::Events.in_a_line(e)}")
      end
    end
  end
end

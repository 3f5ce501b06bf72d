# frozen_string_literal: true

require_relative "task"

module Tasker
  module Testing
    # What handlers have logged and published while a task ran.
    #
    # @api private
    class Observed
      # @return [Array<LogLine>]
      attr_reader :log

      def initialize
        @log = []
        @published = []
        @told = []
      end

      # @return [Array<Published>] what Ruby code has published, and then what the engine has
      #   told meanwhile
      def published = @published + @told

      # Listens while the block runs.
      def watch
        subscription = Events.subscribe { |event| note(event) }
        yield
      ensure
        Events.unsubscribe(subscription) if subscription
      end

      # @return [nil]
      def logged(level, message, attempt)
        @log << LogLine.new(level: level, message: message, step: attempt.step, attempt: attempt.number)
        nil
      end

      private

      def note(event)
        attempt = Attempt.current
        (Events::FromEngine.publishing? ? @told : @published) << Published.new(name: event.name, payload: event.payload, step: attempt&.step, attempt: attempt&.number)
      end
    end

    # Stands in for Tasker.logger while a handler runs: it keeps what is logged, and
    # hands it on to a logger that the suite has set. The default one would print
    # between the framework's dots.
    #
    # @api private
    class Recorder < BasicObject
      LEVELS = %i[debug info warn error fatal unknown].freeze

      # @param attempt [Attempt]
      # @param logger [Logger]
      # @param quiet [Boolean] whether nothing is handed on
      def initialize(attempt, logger, quiet)
        @attempt = attempt
        @logger = logger
        @quiet = quiet
      end

      LEVELS.each do |level|
        define_method(level) do |progname = nil, &block|
          message = block ? block.call : progname
          @attempt.logged(level, message)
          next true if @quiet

          block ? @logger.public_send(level, progname) { message } : @logger.public_send(level, message)
        end
      end

      def add(severity, message = nil, progname = nil)
        message = ::Kernel.block_given? ? yield : progname if message.nil?
        @attempt.logged(LEVELS[severity || 5] || :unknown, message)
        @quiet || @logger.add(severity, message, progname)
      end
      alias log add

      def <<(message)
        @attempt.logged(:unknown, message.to_s.chomp)
        @logger << message unless @quiet
        self
      end

      # Not of the logger behind, which would print.
      def public_send(name, ...) = __send__(name, ...)
      alias send public_send

      def respond_to?(name, all = false) # rubocop:disable Style/OptionalBooleanParameter
        LEVELS.include?(name.to_sym) || %i[add log <<].include?(name.to_sym) || @logger.respond_to?(name, all)
      end

      private

      def method_missing(name, ...)
        @logger.public_send(name, ...)
      end

      def respond_to_missing?(name, all)
        @logger.respond_to?(name, all)
      end
    end
  end
end

# frozen_string_literal: true

module TaskerCore
  # Structured lines for {Tasker.logger}, as handlers of Tasker Core write them.
  class Tracing
    # The levels that have a method.
    LEVELS = %i[error warn info debug trace].freeze

    class << self
      # @!method info(message, fields = {})
      #   Logs one line. There are +error+, +warn+, +debug+ and +trace+ too.
      #   @param message [String]
      #   @param fields [Hash] facts beside the message
      #   @return [nil]
      LEVELS.each do |level|
        define_method(level) { |message, fields = {}| log(level, message, fields) }
      end

      # @return [Class] itself: all its methods are the class's
      def instance = self

      # @api private
      def log(level, message, fields)
        level = { trace: :debug, fatal: :error }.fetch(level.to_sym, level.to_sym)
        level = :info unless LEVELS.include?(level)
        return Tasker.logger.public_send(level) { message.to_s } if fields.nil? || fields.empty?

        Tasker.logger.public_send(level) { line(message, fields) }
        nil
      end

      private

      def line(message, fields)
        Tasker::RubyVersions.generate_json({ message: message.to_s, **fields.to_h.transform_keys { |key| key.to_s.to_sym } })
      rescue StandardError
        "#{message} (its facts could not be logged)"
      end
    end
  end

  # The logger of Tasker Core. Its lines go to {Tasker.logger}, whose other methods it
  # has as well.
  class Logger
    # The components for which there is a method log_COMPONENT, with the name that the
    # line gets.
    COMPONENTS = { task: "task_operation", queue_worker: "queue_worker", orchestrator: "orchestrator", step: "step_operation",
                   database: "database", ffi: "ffi", config: "config", registry: "registry" }.freeze

    @instance = new

    class << self
      # @return [Logger]
      attr_reader :instance

      private :new
    end

    # @!method log_step(level, operation, **facts)
    #   Logs one line about a component. There are +log_task+, +log_database+ and the
    #   others of {COMPONENTS} too.
    #   @param level [Symbol]
    #   @param operation [String] the line's message
    #   @return [nil]
    COMPONENTS.each do |component, called|
      define_method(:"log_#{component}") do |level, operation, **facts|
        Tracing.log(level, operation, { component: called, operation: operation, **facts })
      end
    end

    def respond_to_missing?(name, include_private = false)
      Tasker.logger.respond_to?(name, include_private) || super
    end

    def method_missing(name, ...)
      Tasker.logger.public_send(name, ...)
    end
    private :method_missing

    # Kernel has a method of this name.
    #
    # @param message [Object]
    # @yieldreturn [Object] the message
    def warn(message = nil, &block) = Tasker.logger.warn(message, &block)
  end

  # The early gem has the logger here too.
  module Logging
    Logger = TaskerCore::Logger
  end
end

# frozen_string_literal: true

require_relative "logging/entities"

module Tasker
  @logger_lock = Mutex.new

  class << self
    # The logger for handlers. By default its lines go to +$stderr+. The host
    # sets one that adds the task and the step to each line.
    #
    # @return [Logger] or anything with Logger's methods
    def logger
      @logger || @logger_lock.synchronize { @logger ||= default_logger }
    end

    # @return [Logger, Object, nil] nil goes back to +$stderr+
    attr_writer :logger

    private

    def default_logger
      RubyVersions.library("logger")
      Logger.new($stderr, progname: "tasker")
    end
  end

  # Logging for handlers, with facts beside the message. {StepHandler::Base}
  # includes it, and a plain class may.
  module Logging
    LEVELS = %i[debug info warn error fatal unknown].freeze
    private_constant :LEVELS

    # @return [Logger]
    def logger = Tasker.logger

    # Logs one line of JSON. It never raises: when the line cannot be written as
    # JSON, it is logged as plain text.
    #
    # @example
    #   log_structured(:info, "Order was charged", order_id: order["id"], cents: 1299)
    # @param level [Symbol] debug, info, warn, error or fatal
    # @param message [String]
    # @param facts [Hash] of values that JSON can hold
    # @return [nil]
    def log_structured(level, message, **facts)
      level = :info unless LEVELS.include?(level)
      logger.public_send(level) { structured_line(message, facts) }
      nil
    rescue StandardError => e
      logger.warn("#{message} (its facts could not be logged: #{e.class})")
      nil
    end

    # @param exception [Exception]
    # @param context [Hash]
    # @param level [Symbol]
    # @return [nil]
    def log_exception(exception, context: {}, level: :error)
      log_structured(level, "#{exception.class}: #{exception.message}",
                     exception_class: exception.class.name, backtrace: exception.backtrace.to_a.first(10), **context)
    end

    private

    def structured_line(message, facts)
      RubyVersions.generate_json({ message: message, component: self.class.name, **Logging.correlation(@correlation_id), **facts })
    end
  end
end

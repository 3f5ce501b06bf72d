# frozen_string_literal: true

module Tasker
  @logger_lock = Mutex.new

  class << self
    # Where handlers log. Lines go to +$stderr+ until it is replaced; the host
    # replaces it to tell of which task and step a line is.
    #
    # @return [Logger] or anything with Logger's methods
    def logger
      @logger || @logger_lock.synchronize { @logger ||= default_logger }
    end

    # @param logger [Logger, nil] nil goes back to +$stderr+
    attr_writer :logger

    private

    def default_logger
      require "logger"
      Logger.new($stderr, progname: "tasker")
    end
  end

  # Logging for handlers, with facts beside the message. {StepHandler::Base}
  # has it; a plain class may include it.
  module Logging
    LEVELS = %i[debug info warn error fatal unknown].freeze
    private_constant :LEVELS

    # @return [Logger]
    def logger = Tasker.logger

    # Logs one line of JSON. Never raises: a line that cannot be written that
    # way is logged as plain text.
    #
    # @example
    #   log_structured(:info, "Order was charged", order_id: order["id"], cents: 1299)
    # @param level [Symbol] debug, info, warn, error or fatal
    # @param message [String]
    # @param facts [Hash] whatever JSON can hold
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
      JSON.generate({ message: message, component: self.class.name, **facts })
    end
  end
end

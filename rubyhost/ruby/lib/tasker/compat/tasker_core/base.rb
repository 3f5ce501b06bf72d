# frozen_string_literal: true

module TaskerCore
  # The base classes of handlers.
  module StepHandler
    # The base class of handlers. A subclass has +call(context)+, see
    # {Types::StepContext}, or the early gem's +call(task, sequence, step)+. Which of
    # both it is, is told by its parameters when the class is loaded.
    class Base < Tasker::StepHandler::Base
      # @return [Logger]
      attr_reader :logger
      # @return [Tasker::Context]
      public :config

      def initialize(config: nil, logger: nil)
        super(config: config.nil? || config.is_a?(Tasker::Context) ? config : Tasker::Context.new(config))
        @logger = logger || Logger.instance
      end

      # Does the step's work.
      #
      # @abstract
      # @param _context [Types::StepContext]
      # @return [Object] the step's results, or a {Types::StepHandlerCallResult}
      def call(_context)
        raise NotImplementedError, "#{self.class} has no method call(context)"
      end

      # @param result [Object]
      # @param result_data [Object] another name for the same
      # @param metadata [Hash] logged at level debug
      # @return [Types::StepHandlerCallResult::Success]
      # @raise [ArgumentError] when there is no result
      def success(result: nil, result_data: nil, metadata: {})
        value = result || result_data
        raise ArgumentError, "result or result_data required" if value.nil?

        Types::StepHandlerCallResult.success(result: value, metadata: metadata)
      end

      # @param message [String]
      # @param error_type [String]
      # @param error_code [String, nil]
      # @param retryable [Boolean] whether there may be another attempt
      # @param metadata [Hash] +retry_after:+ in it says how many seconds to wait
      # @return [Types::StepHandlerCallResult::Error]
      def failure(message:, error_type: "UnexpectedError", error_code: nil, retryable: false, metadata: {})
        Types::StepHandlerCallResult.error(message: message, error_type: error_type, error_code: error_code,
                                           retryable: retryable, metadata: metadata)
      end

      # @return [String] the class's name in lower case, without its modules
      def handler_name
        self.class.name.to_s.split("::").last.to_s.gsub(/([A-Z])/, '_\1').downcase.delete_prefix("_")
      end

      # @return [Hash] facts about the handler
      def metadata
        { handler_name: handler_name, handler_class: self.class.name,
          version: self.class.const_defined?(:VERSION) ? self.class.const_get(:VERSION) : "1.0.0",
          capabilities: capabilities, config_schema: config_schema, ruby_version: RUBY_VERSION, created_at: Time.now.iso8601 }
      end

      # @return [Array<String>]
      def capabilities = ["process"]

      # @return [Hash] a JSON schema; nothing checks the config against it
      def config_schema
        { type: "object", properties: {}, additionalProperties: true }
      end

      # @param config_hash [Object]
      # @return [Boolean]
      def validate_config(config_hash) = config_hash.is_a?(Hash)
    end
  end
end

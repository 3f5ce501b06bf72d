# frozen_string_literal: true

require "tasker"
require "tasker/execution"

# For handlers written for the older names: require "tasker/compat/tasker_core".
# Their +call(task, sequence, step)+ takes the place of +process+. When they
# return a StepHandlerCallResult, its result becomes the step's, and its metadata
# is logged at level debug.
module TaskerCore
  # The errors, by their older names.
  module Errors
    Error = Tasker::Error
    ProceduralError = Tasker::ProceduralError
    ConfigurationError = Tasker::ConfigurationError

    # See Tasker::RetryableError.
    class RetryableError < Tasker::RetryableError
      # @return [String, nil]
      attr_reader :error_category

      def initialize(message = nil, retry_after: nil, context: {}, error_category: nil)
        @error_category = error_category
        super(message, retry_after: retry_after, context: context)
      end
    end

    # See Tasker::PermanentError.
    class PermanentError < Tasker::PermanentError
      # @return [String, nil]
      attr_reader :error_category

      def initialize(message = nil, error_code: nil, context: {}, error_category: nil)
        @error_category = error_category
        super(message, error_code: error_code, context: context)
      end
    end

    class TimeoutError < RetryableError; end
    class NetworkError < RetryableError; end

    # The input is wrong, so another attempt cannot help.
    class ValidationError < PermanentError
      # @return [String, nil]
      attr_reader :field

      def initialize(message = nil, field: nil, error_code: nil, context: {})
        @field = field
        super(message, error_code: error_code, context: field ? context.merge(field: field) : context)
      end
    end
  end

  # The results that handlers return.
  module Types
    # Makes results that carry metadata.
    module StepHandlerCallResult
      # @!attribute result [Object]
      # @!attribute metadata [Hash]
      Success = Struct.new(:result, :metadata, keyword_init: true) do
        def success? = true
      end

      # @!attribute retryable [Boolean]
      Error = Struct.new(:error_type, :message, :error_code, :retryable, :metadata, keyword_init: true) do
        def success? = false

        # @return [Tasker::ProceduralError]
        def to_exception
          facts = { error_type: error_type }.compact.merge(metadata)
          if retryable
            Errors::RetryableError.new(message, retry_after: metadata[:retry_after], context: facts)
          else
            Errors::PermanentError.new(message, error_code: error_code || error_type, context: facts)
          end
        end
      end

      class << self
        # @return [Success]
        def success(result: nil, metadata: {})
          Success.new(result: result, metadata: metadata)
        end

        # @return [Error]
        def error(message:, error_type: nil, error_code: nil, retryable: nil, metadata: {})
          retryable = !%w[PermanentError ValidationError].include?(error_type.to_s) if retryable.nil?
          Error.new(error_type: error_type, message: message, error_code: error_code,
                    retryable: retryable, metadata: metadata)
        end
      end
    end
  end

  # Runs +call+ where the host expects +process+.
  #
  # @api private
  module CallAdapter
    # @return [Object] the step's results
    # @raise [Tasker::ProceduralError] when the result is an Error
    def self.invoke(handler, task, sequence, step)
      unwrap(handler.call(task, sequence, step))
    end

    def self.unwrap(outcome)
      case outcome
      when Types::StepHandlerCallResult::Success
        Tasker.logger.debug { "metadata: #{outcome.metadata.inspect}" } unless outcome.metadata.to_h.empty?
        outcome.result
      when Types::StepHandlerCallResult::Error then raise outcome.to_exception
      else outcome
      end
    end
  end

  # The base class of handlers, by its older name.
  module StepHandler
    # See Tasker::StepHandler::Base. A subclass has +call+ instead of +process+.
    class Base < Tasker::StepHandler::Base
      # @return [Logger]
      attr_reader :logger
      # @return [Tasker::Context]
      public :config

      def initialize(config: nil, logger: nil)
        super(config: config)
        @logger = logger || Tasker.logger
      end

      # @abstract
      def call(_task, _sequence, _step)
        raise NotImplementedError, "#{self.class} has no method call(task, sequence, step)"
      end

      def process(task, sequence, step)
        CallAdapter.invoke(self, task, sequence, step)
      end

      private

      def success(result: nil, metadata: {})
        Types::StepHandlerCallResult.success(result: result, metadata: metadata)
      end

      def failure(message:, error_type: nil, error_code: nil, retryable: nil, metadata: {})
        Types::StepHandlerCallResult.error(message: message, error_type: error_type, error_code: error_code,
                                           retryable: retryable, metadata: metadata)
      end
    end
  end

  # The older sequence's additional method.
  module SequenceGet
    # @param name [String, Symbol]
    # @return [Hash, nil] the step's results, under the key "result"
    def get(name)
      step = find_step_by_name(name)
      step && { "result" => step.results }
    end
  end

  # Lets plain classes that have +call+ but no +process+ handle steps.
  #
  # @api private
  module PlainCall
    private

    def check_process(handler_class)
      return super if handler_class.public_method_defined?(:process)
      return super unless handler_class.public_method_defined?(:call)
      return if takes_three?(handler_class.instance_method(:call))

      raise Tasker::HandlerError, "#{handler_class}#call has to take 3 arguments, task, sequence and step"
    end

    def output_of(handler, task, sequence, step)
      handler.respond_to?(:process) ? super : CallAdapter.invoke(handler, task, sequence, step)
    end
  end

  Tasker::Sequence.include(SequenceGet)
  Tasker::Execution.singleton_class.prepend(PlainCall)
end

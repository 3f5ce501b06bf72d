# frozen_string_literal: true

module TaskerCore
  # The errors. Their superclasses are those of Tasker Core's own file, so that
  # loading that file as well does no harm.
  module Errors
    Error = Tasker::Error unless const_defined?(:Error, false)
    ProceduralError = Tasker::ProceduralError unless const_defined?(:ProceduralError, false)
    ConfigurationError = Tasker::ConfigurationError unless const_defined?(:ConfigurationError, false)

    ConfigurationError.include(Tasker::Permanent)

    # Facts that most of the errors below have.
    #
    # @api private
    module Facts
      # @return [Hash]
      def context = @context || {}

      # @return [String, nil]
      attr_reader :error_category

      # @return [String] the name of the class, without its module
      def error_class = self.class.name.to_s.split("::").last
    end

    # The orchestration failed.
    class OrchestrationError < Error; end

    # The database refused something. A retry cannot help.
    class DatabaseError < Error
      include Tasker::Permanent
    end

    # A failure that may pass.
    class RetryableError < ProceduralError
      include Facts

      # @return [Numeric, nil] seconds
      attr_reader :retry_after

      def initialize(message = nil, retry_after: nil, context: {}, error_category: nil)
        super(message)
        @retry_after = retry_after
        @context = context
        @error_category = error_category
      end
    end

    # A failure that a retry cannot help.
    class PermanentError < ProceduralError
      include Facts
      include Tasker::Permanent

      # @return [String, nil]
      attr_reader :error_code

      def initialize(message = nil, error_code: nil, context: {}, error_category: nil)
        super(message)
        @error_code = error_code
        @context = context
        @error_category = error_category
      end
    end

    # Something took too long. It may be tried again.
    class TimeoutError < ProceduralError
      include Facts

      # @return [Numeric, nil] seconds
      attr_reader :timeout_duration, :retry_after

      def initialize(message = nil, timeout_duration: nil, retry_after: nil, context: {}, error_category: nil)
        super(message)
        @timeout_duration = timeout_duration
        @retry_after = retry_after
        @context = context
        @error_category = error_category
      end
    end

    # A connection failed. It may be tried again.
    class NetworkError < ProceduralError
      include Facts

      # @return [Integer, nil]
      attr_reader :status_code
      # @return [Numeric, nil] seconds
      attr_reader :retry_after

      def initialize(message = nil, status_code: nil, retry_after: nil, context: {}, error_category: nil)
        super(message)
        @status_code = status_code
        @retry_after = retry_after
        @context = context
        @error_category = error_category
      end
    end

    # The input is wrong.
    class ValidationError < PermanentError
      # @return [String, Symbol, nil]
      attr_reader :field

      def initialize(message = nil, field: nil, error_code: nil, context: {}, error_category: nil)
        @field = field
        super(message, error_code: error_code, context: field ? context.merge(field: field) : context, error_category: error_category)
      end
    end

    # What the step needs is not there.
    class NotFoundError < PermanentError
      # @return [String, nil]
      attr_reader :resource_type

      def initialize(message = nil, resource_type: nil, error_code: nil, context: {}, error_category: nil)
        @resource_type = resource_type
        super(message, error_code: error_code, context: resource_type ? context.merge(resource_type: resource_type) : context,
                       error_category: error_category)
      end
    end

    # The bridge to the host failed. A retry cannot help.
    class FFIError < Error
      include Facts
      include Tasker::Permanent

      # @return [String, nil]
      attr_reader :operation

      def initialize(message = nil, operation: nil, context: {})
        super(message)
        @operation = operation
        @context = context
      end
    end

    # A server of Tasker's failed.
    class ServerError < Error
      include Facts

      # @return [String, nil]
      attr_reader :operation

      def initialize(message = nil, operation: nil, context: {})
        super(message)
        @operation = operation
        @context = context
      end
    end

    # A handler may rescue an error of one of the two APIs that code for the other raises:
    # +rescue Tasker::PermanentError+ catches a {PermanentError} as well. It goes by ===,
    # because the superclasses are the gem's.
    { Tasker::PermanentError => PermanentError, Tasker::RetryableError => RetryableError }.each do |ours, theirs|
      ours.define_singleton_method(:===) { |error| super(error) || (equal?(ours) && theirs === error) } # rubocop:disable Style/CaseEquality
    end

    # Says whether an error may be tried again.
    class ErrorClassifier
      # @param error [Exception]
      # @return [Boolean]
      def self.retryable?(error)
        !error.is_a?(Tasker::Permanent)
      end
    end
  end

  %i[Error ConfigurationError ProceduralError RetryableError PermanentError TimeoutError NetworkError ValidationError NotFoundError].each do |name|
    const_set(name, Errors.const_get(name)) unless const_defined?(name, false)
  end
end

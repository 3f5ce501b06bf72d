# frozen_string_literal: true

module Tasker
  # The superclass of all errors of Tasker's own.
  class Error < StandardError; end

  # Marks the errors that no retry can help. A class of your own may include it.
  module Permanent; end

  # A handler's config, an option or a subscriber is wrong. In a step this error
  # is permanent.
  class ConfigurationError < Error
    include Permanent
  end

  # A failure of a step's work. A handler raises one of the two classes below. Any
  # other StandardError counts as retryable.
  class ProceduralError < Error; end

  # A failure that may pass: the step is tried again within its retry limit.
  #
  # @example
  #   raise Tasker::RetryableError.new("gateway is busy", retry_after: 30, context: { gateway: "acme" })
  class RetryableError < ProceduralError
    # @return [Numeric, nil] how many seconds to wait before the next attempt;
    #   nil leaves it to the step's backoff
    attr_reader :retry_after
    # @return [Hash] facts for the reader of the failure; kept as JSON
    attr_reader :context

    # @param message [String, nil] the class's name when nil
    # @param retry_after [Numeric, nil] seconds
    # @param context [Hash]
    def initialize(message = nil, retry_after: nil, context: {})
      super(message)
      @retry_after = retry_after
      @context = context
    end
  end

  # A failure that a retry cannot help: the step ends at once.
  #
  # @example
  #   raise Tasker::PermanentError.new("card was declined", error_code: "CARD_DECLINED")
  class PermanentError < ProceduralError
    include Permanent

    # @return [String, nil] a name by which programs recognise the failure
    attr_reader :error_code
    # @return [Hash] facts for the reader of the failure; kept as JSON
    attr_reader :context

    # @param message [String, nil] the class's name when nil
    # @param error_code [String, nil]
    # @param context [Hash]
    def initialize(message = nil, error_code: nil, context: {})
      super(message)
      @error_code = error_code
      @context = context
    end
  end

  # A step's result, or an annotation, that JSON or PostgreSQL cannot hold. A retry cannot
  # help.
  class UnrepresentableError < PermanentError
    # @return [String] the place in the value, such as results.items[3].price
    attr_reader :path

    # @param message [String]
    # @param path [String]
    # @param error_code [String]
    def initialize(message, path:, error_code: "UNREPRESENTABLE_RESULT")
      @path = path
      super(message, error_code: error_code, context: { "path" => path })
    end
  end

  # A handler class cannot be found, loaded or used. See {HandlerLoader} and
  # {Execution.check}.
  class HandlerError < ConfigurationError; end

  # There is no handler class of that name. An error in the file of a class is
  # another one.
  class HandlerNotFound < HandlerError; end
end

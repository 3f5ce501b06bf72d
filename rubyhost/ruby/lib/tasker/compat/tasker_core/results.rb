# frozen_string_literal: true

module TaskerCore
  # The objects that handlers are given, and those that they return.
  module Types
    # What a handler returns.
    module StepHandlerCallResult
      # The step is done.
      class Success
        # @return [Object]
        attr_reader :result
        # @return [Hash] logged at level debug
        attr_reader :metadata
        # @return [Boolean]
        attr_reader :success
        alias success? success

        def initialize(result:, success: true, metadata: {})
          @success = success
          @result = result
          @metadata = metadata || {}
        end

        def checkpoint? = false

        # @return [Hash]
        def to_h = { success: success, result: result, metadata: metadata }
      end

      # The attempt failed.
      class Error
        # @return [String] such as "PermanentError"; any name will do
        attr_reader :error_type
        # @return [String]
        attr_reader :message
        # @return [String, nil]
        attr_reader :error_code
        # @return [Boolean] whether there may be another attempt
        attr_reader :retryable
        # @return [Hash] +retry_after:+ in it says how many seconds to wait
        attr_reader :metadata
        # @return [Boolean]
        attr_reader :success
        alias success? success
        # @return [Exception, nil] the one that a block raised; the attempt fails with it
        attr_accessor :raised

        def initialize(message:, error_type: "UnexpectedError", success: false, error_code: nil, retryable: false, metadata: {})
          @success = success
          @error_type = error_type
          @message = message
          @error_code = error_code
          @retryable = retryable
          @metadata = metadata || {}
        end

        def checkpoint? = false

        # @return [Hash]
        def to_h
          { success: success, error_type: error_type, message: message, error_code: error_code, retryable: retryable, metadata: metadata }
        end

        # @return [Exception] or {#raised}
        def to_exception
          return raised if raised

          facts = { error_type: error_type }.compact.merge(metadata)
          if retryable
            wait = metadata[:retry_after] || metadata["retry_after"]
            Errors::RetryableError.new(message, retry_after: wait, context: facts)
          else
            Errors::PermanentError.new(message, error_code: error_code || error_type, context: facts)
          end
        end
      end

      # A handler asks to be called again from a checkpoint. This is refused.
      class CheckpointYield
        # @return [Object]
        attr_reader :cursor, :items_processed, :accumulated_results

        def initialize(cursor:, items_processed:, accumulated_results: nil)
          @cursor = cursor
          @items_processed = items_processed
          @accumulated_results = accumulated_results
        end

        def checkpoint? = true
        def success? = false
      end

      class << self
        # @return [Success]
        def success(result: nil, metadata: {})
          Success.new(result: result, metadata: metadata)
        end

        # @return [Error]
        def error(message:, error_type: "UnexpectedError", error_code: nil, retryable: false, metadata: {})
          Error.new(error_type: error_type, message: message, error_code: error_code, retryable: retryable, metadata: metadata)
        end
        alias failure error

        # @return [CheckpointYield]
        def checkpoint_yield(cursor:, items_processed:, accumulated_results: nil)
          CheckpointYield.new(cursor: cursor, items_processed: items_processed, accumulated_results: accumulated_results)
        end

        # Reads what a handler returned. A Hash whose +success+ is true or false is a
        # result as well; any other object is the result of a Success.
        #
        # @param output [Object]
        # @return [Success, Error, CheckpointYield]
        def from_handler_output(output)
          case output
          when Success, Error, CheckpointYield then output
          when Hash then from_hash(output)
          else Success.new(result: output, metadata: { wrapped: true, original_type: output.class.name })
          end
        end

        # @param exception [Exception]
        # @return [Error]
        def from_exception(exception)
          facts = { context: ask(exception, :context), retry_after: ask(exception, :retry_after), field: ask(exception, :field) }.compact
          case exception
          when Errors::PermanentError, Errors::RetryableError
            permanent = exception.is_a?(Errors::PermanentError)
            Error.new(error_type: permanent ? "PermanentError" : "RetryableError", message: exception.message,
                      error_code: ask(exception, :error_code), retryable: !permanent, metadata: facts)
          else
            Error.new(message: exception.message, retryable: true,
                      metadata: { exception_class: exception.class.name, stack_trace: exception.backtrace&.first(10)&.join("\n") }.compact)
          end
        end

        private

        def from_hash(hash)
          case pick(hash, :success)
          when true
            Success.new(result: pick(hash, :result) || hash, metadata: pick(hash, :metadata))
          when false
            Error.new(error_type: pick(hash, :error_type) || "UnexpectedError", message: pick(hash, :message) || "Unknown error",
                      error_code: pick(hash, :error_code), retryable: pick(hash, :retryable) || false, metadata: pick(hash, :metadata))
          else
            Success.new(result: hash, metadata: { wrapped: true, original_type: "Hash" })
          end
        end

        def pick(hash, key)
          hash.fetch(key) { hash[key.name] }
        end

        def ask(exception, question)
          exception.public_send(question) if exception.respond_to?(question)
        end
      end
    end
  end
end

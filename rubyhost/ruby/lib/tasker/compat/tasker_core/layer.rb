# frozen_string_literal: true

module TaskerCore
  # What the host asks of this layer; see {Tasker::Execution::Entry}.
  #
  # @api private
  module Layer
    class << self
      # @return [Class]
      def base = StepHandler::Base

      # @return [Types::StepContext]
      def context(sequence) = Types::StepContext.new(sequence)

      # @param output [Object] what the handler returned
      # @return [Object] the step's results
      # @raise [Tasker::ProceduralError] when it returned a failure
      def unwrap(output)
        outcome = Types::StepHandlerCallResult.from_handler_output(output)
        case outcome
        when Types::StepHandlerCallResult::Error then raise outcome.to_exception
        when Types::StepHandlerCallResult::CheckpointYield
          raise Absent::UnsupportedError, "the handler asked to be called again from a checkpoint, which tasker-rb does not do"
        end
        log(outcome.metadata) if outcome.equal?(output) && !outcome.metadata.empty?
        outcome.result
      end

      # @param handler_class [Class]
      # @return [String, nil] why a template cannot use it
      def refusal(handler_class)
        Absent.refusal(handler_class)
      end

      private

      def log(metadata)
        Tasker.logger.debug { "metadata: #{metadata.inspect}" }
      end
    end
  end

  Tasker::Execution::Entry.layer = Layer
end

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
        when Types::StepHandlerCallResult::Error
          Thread.current[@metadata_key] = outcome
          raise outcome.to_exception
        when Types::StepHandlerCallResult::CheckpointYield
          raise Absent::UnsupportedError, "the handler asked to be called again from a checkpoint, which tasker-rb does not do"
        end
        note(outcome) if outcome.equal?(output) && !outcome.metadata.empty?
        outcome.result
      end

      # Has the events published that the template says, once the results are stored.
      #
      # @param sequence [Tasker::Sequence] whose running step has succeeded
      # @return [void]
      def succeeded(sequence)
        returned = take
        DomainEvents::Outcome.succeeded(sequence, returned) if sequence.published_events
      end

      # Has the events published that the template says, once the failure is stored.
      #
      # @return [void]
      def failed(sequence, error)
        returned = take
        DomainEvents::Outcome.failed(sequence, error, returned) if sequence.published_events
      end

      # @param handler_class [Class]
      # @return [String, nil] why a template cannot use it
      def refusal(handler_class)
        Absent.refusal(handler_class)
      end

      # @return [Array<Class>] the subscribers that nobody has registered
      def unheard = below(DomainEvents::BaseSubscriber).reject { |subscriber| subscriber.heard || subscriber.name.nil? }

      private

      def below(base) = base.subclasses.flat_map { |found| [found, *below(found)] }

      # It is this step's: the thread's next step may return the same value, or raise with the
      # same message.
      def take
        returned = Thread.current[@metadata_key]
        Thread.current[@metadata_key] = nil if returned
        returned
      end

      def note(outcome)
        Thread.current[@metadata_key] = outcome # the events of the step may have it
        Tasker.logger.debug { "metadata: #{outcome.metadata.inspect}" }
      end
    end

    @metadata_key = :tasker_core_outcome # of the thread: what the latest handler on it returned
  end

  Tasker::Execution::Entry.layer = Layer
end

# frozen_string_literal: true

module TaskerCore
  module DomainEvents
    # A step's context for publishers, which may also ask it as a Hash.
    class StepFacts < Types::StepContext
      # @param key [Symbol, String] such as :task, :step_name or :dependency_results
      # @return [Object, nil]
      def [](key)
        case key.to_sym
        when :task then Tasker::Context.wrap(task.to_h)
        when :workflow_step, :step then Tasker::Context.wrap(workflow_step.to_h)
        else public_send(key) if respond_to?(key)
        end
      end
    end

    # Publishes what the template declares, once the outcome of an attempt is stored.
    #
    # @api private
    module Outcome
      class << self
        # @param sequence [Tasker::Sequence]
        # @param returned [Types::StepHandlerCallResult::Success, Types::StepHandlerCallResult::Error, nil]
        #   by the handler
        def succeeded(sequence, returned)
          step = sequence.current_step
          metadata = returned.is_a?(Types::StepHandlerCallResult::Success) && returned.result.equal?(step.results) ? returned.metadata : {}
          result = step.results
          step_result = { success: true, result: result.is_a?(Hash) ? result : { result: result }, metadata: facts(step).merge(metadata) }
          later(sequence, %w[success always], step_result, :committed)
        end

        def failed(sequence, error, returned)
          report = Tasker::Execution.describe(error)
          returned = nil unless returned.is_a?(Types::StepHandlerCallResult::Error) && returned.message == report["message"]
          retryable = !ends?(sequence, report)
          context = report["context"]
          metadata = facts(sequence.current_step).merge(
            error_message: report["message"], error_class: report["class"], error_type: returned&.error_type || report["class"],
            error_code: returned&.error_code || report["error_code"], retryable: retryable
          ).merge(context.is_a?(Hash) ? context.transform_keys(&:to_sym) : {})
          step_result = { success: false, result: {}, error: { message: report["message"], class: report["class"] }, error_message: report["message"],
                          metadata: metadata }
          later(sequence, ["failure", retryable ? "retryable_failure" : "permanent_failure", "always"], step_result, :rolled_back)
        end

        private

        # As the engine decides it: orchestration/outcome.go.
        def ends?(sequence, report)
          report["permanent"] || (!sequence.retries_programming_errors? && Tasker::Execution::ProgrammingErrors.reported?(report))
        end

        def facts(step)
          began = step.last_attempted_at
          { handler_class: step.handler_class, execution_time_ms: began && ((Time.now - began) * 1000).round, retryable: true,
            completed_at: Time.now.utc.iso8601, attempt: step.attempts }
        end

        # The subscribers run on the events' own thread, so that no step waits for them.
        def later(sequence, conditions, step_result, fate)
          declared = sequence.published_events.select { |event| conditions.include?(event["condition"]) }
          return if declared.empty?

          given = Tasker::Context.wrap(step_result)
          context = StepFacts.new(sequence)
          read(context)
          Tasker::AfterCommit.add(fate => -> { Tasker::Events.later { publish(declared, given, context) } })
        rescue StandardError => e
          Tasker.logger.error("the events of the step cannot be published: #{Tasker::Events.in_a_line(e)}")
        end

        # The documents of a large task cannot be asked for when the step has ended.
        def read(context)
          context.task.to_h
          context.workflow_step.to_h
        end

        def publish(declared, step_result, context)
          SubscriberRegistry.instance.start_registered
          declared.each do |event|
            declaration = Tasker::Context.wrap(event)
            publisher = PublisherRegistry.instance.get_or_default(event["publisher"])
            publisher.publish(event_name: event["name"], step_result: step_result, event_declaration: declaration, step_context: context)
          rescue StandardError, ScriptError => e
            Tasker.logger.error("the event #{event["name"]} could not be published: #{Tasker::Events.in_a_line(e)}")
          end
        end
      end
    end
  end
end

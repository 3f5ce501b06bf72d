# frozen_string_literal: true

module Tasker
  module Events
    # The facts of an event of a step, as the step's thread knows them.
    #
    # @api private
    module StepPayload
      class << self
        # @param step [Step]
        # @param type [Symbol]
        # @return [Hash{Symbol => Object}]
        def of(step, type)
          facts = basic(step, type)
          facts.merge!(step_inputs: step.inputs, step_dependencies: step.parent_names) if type == :started
          facts
        end

        # @param duration [Float] seconds
        # @param error [Exception, nil]
        # @return [Hash{Symbol => Object}]
        def ended(step, type, duration, error = nil)
          facts = basic(step, type).merge!(completed_at: iso(Time.now), execution_duration: duration, execution_duration_seconds: duration)
          return facts.merge!(step_results: step.results, results: Context.wrap(step.results)) unless error

          facts.merge!(of_error(error), max_retries_reached: step.retry_exhausted?)
        end

        # Uses the error's report, because the error's own methods may raise.
        #
        # @return [Hash{Symbol => Object}]
        def of_error(error)
          report = Execution.describe(error)
          { error_message: report["message"], exception_class: report["class"], error_class: report["class"],
            backtrace: report["backtrace"], error: error }
        end

        # @return [String, nil]
        def iso(time) = time&.getutc&.iso8601(3)

        private

        def basic(step, type)
          task = step.task
          { task_id: step.task_id, step_id: step.workflow_step_id, step_name: step.name,
            task_name: task.name, namespace_name: task.namespace_name, task_namespace: task.namespace_name, task_version: task.version,
            source_system: task.source_system, started_at: iso(step.last_attempted_at), completed_at: nil,
            attempt_number: step.attempts, retry_count: [step.attempts - 1, 0].max, retry_limit: step.retry_limit, retryable: step.retryable,
            event_type: type.to_s, timestamp: Time.now.utc }
        end
      end
    end

    # Builds payloads for code that publishes events of tasks and steps itself. The host's own
    # events have theirs already.
    class EventPayloadBuilder
      class << self
        # @param step [Step]
        # @param task [Task, nil] the step's own by default
        # @param event_type [Symbol] :started, :before_handle, :completed, :failed, :retry …
        # @param additional_context [Hash] facts that are added, or take the place of others
        # @return [Hash{Symbol => Object}]
        def build_step_payload(step, task = nil, event_type: :completed, additional_context: {})
          facts = StepPayload.of(step, event_type)
          facts[:task_id] = task.task_id if task
          facts.merge!(of_step(step, event_type, additional_context)).merge(additional_context)
        end

        # @param task [Task]
        # @param event_type [Symbol] :started, :completed, :failed …
        # @param additional_context [Hash]
        # @return [Hash{Symbol => Object}]
        def build_task_payload(task, event_type: :completed, additional_context: {})
          now = Time.now
          { task_id: task.task_id, task_name: task.name, namespace_name: task.namespace_name, task_version: task.version,
            started_at: StepPayload.iso(task.created_at), task_type: task.class.name, event_type: event_type.to_s, timestamp: now.utc,
            **durations(task, now), **counts(task.workflow_steps), **of_task(task, event_type, additional_context) }.merge(additional_context)
        end

        # @param event_type [Symbol]
        # @param context [Hash]
        # @return [Hash{Symbol => Object}]
        def build_orchestration_payload(event_type:, context: {})
          { event_type: event_type.to_s, orchestration_event: true, timestamp: Time.now.utc, **context }
        end

        private

        def of_step(step, type, given)
          results = step.results
          results = nil if results.respond_to?(:empty?) && results.empty?
          case type
          when :completed then { completed_at: StepPayload.iso(Time.now), execution_duration: since(step.last_attempted_at), step_results: results }.compact
          when :failed then failure(results, given).compact
          when :retry then { previous_attempts: step.attempts - 1, retry_reason: "the step has failed", backoff_strategy: "exponential" }
          else {}
          end
        end

        def failure(results, given)
          stored = results.is_a?(Hash) ? results : {}
          { error_message: given[:error_message] || given[:error] || stored["error"] || stored[:error] || "an unknown error",
            exception_class: given[:exception_object]&.class&.name || given[:exception_class] || given[:error_class] || "StandardError",
            backtrace: given[:backtrace] || stored["backtrace"] || stored[:backtrace], step_results: results }
        end

        def of_task(task, type, given)
          case type
          when :started then { task_context: task.context }
          when :failed
            { error_message: given[:error_message] || given[:error] || "the task has failed", error_steps: given[:error_steps],
              error_step_results: given[:error_step_results] }.compact
          else {}
          end
        end

        def durations(task, now)
          whole = since(task.created_at, now)
          done = task.all_steps_complete?
          { completed_at: (StepPayload.iso(now) if done), total_execution_duration: (whole if done), current_execution_duration: (whole unless done) }
        end

        def counts(steps)
          { total_steps: steps.size, completed_steps: steps.count(&:complete?), failed_steps: steps.count(&:in_error?),
            pending_steps: steps.count(&:pending?) }
        end

        def since(time, now = Time.now) = time ? (now - time).round(3) : 0.0
      end
    end
  end
end

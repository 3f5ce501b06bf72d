# frozen_string_literal: true

module Tasker
  module Concerns
    # Publishes events with the payloads that tasker-engine gives them. Every handler below
    # {StepHandler::Base} has these methods; another class includes the module.
    #
    # The host publishes its own events by itself. What is published here comes in addition,
    # at once and on this thread, whether or not the step's transaction commits.
    #
    # @example
    #   class Import
    #     include Tasker::Concerns::EventPublisher
    #
    #     def call(task) = publish_task_failed(task, error_message: "no rows")
    #   end
    module EventPublisher
      include Logging

      # @param step [Step]
      # @param context [Hash] facts that are added to the payload
      # @return [nil]
      def publish_step_started(step, **context) = publish_step("step.execution_requested", step, :started, context)

      # (see #publish_step_started)
      def publish_step_before_handle(step, **context) = publish_step("step.before_handle", step, :before_handle, context)

      # (see #publish_step_started)
      def publish_step_completed(step, **context) = publish_step("step.completed", step, :completed, context)

      # @param step [Step]
      # @param error [Exception, nil]
      # @param context [Hash]
      # @return [nil]
      def publish_step_failed(step, error: nil, **context)
        context = context.merge(Events::StepPayload.of_error(error)) if error
        publish_step("step.failed", step, :failed, context)
      end

      # @param step [Step]
      # @return [nil]
      def publish_step_retry_requested(step, retry_reason: "Step execution failed", **context)
        publish_step("step.retry_requested", step, :retry, { retry_reason: retry_reason, **context })
      end

      # @param step [Step]
      # @return [nil]
      def publish_step_cancelled(step, cancellation_reason: "Step cancelled", **context)
        publish_step("step.cancelled", step, :cancelled, { cancellation_reason: cancellation_reason, **context })
      end

      # @param step [Step]
      # @param backoff_seconds [Numeric]
      # @return [nil]
      def publish_step_backoff(step, backoff_seconds:, backoff_type: "exponential", **context)
        publish_step("observability.step.backoff", step, :backoff, { backoff_seconds: backoff_seconds, backoff_type: backoff_type, **context })
      end

      # Publishes the event that the step's status suggests, or the hint.
      #
      # @param step [Step]
      # @param context_hint [Symbol, nil] :started, :completed, :failed, :retry or :cancelled
      # @return [nil]
      def publish_step_event_for_context(step, context_hint: nil, **context)
        case context_hint || infer_step_event_type_from_state(step)
        when :started, :execution_requested then publish_step_started(step, **context)
        when :completed, :success then publish_step_completed(step, **context)
        when :failed, :failure, :error then publish_step_failed(step, **context)
        when :retry, :retry_requested then publish_step_retry_requested(step, **context)
        when :cancelled then publish_step_cancelled(step, **context)
        else Tasker.logger.warn("there is no event of a step for #{context_hint.inspect}")
        end
        nil
      end

      # @param step [Step]
      # @return [Symbol]
      def infer_step_event_type_from_state(step)
        { "complete" => :completed, "error" => :failed, "cancelled" => :cancelled }.fetch(step.status, :started)
      end

      # @param task [Task]
      # @param context [Hash] facts that are added to the payload
      # @return [nil]
      def publish_task_started(task, **context) = publish_task("task.start_requested", task, :started, context)

      # (see #publish_task_started)
      def publish_task_completed(task, **context) = publish_task("task.completed", task, :completed, context)

      # (see #publish_task_started)
      def publish_task_failed(task, error_message: "Task execution failed", error_steps: [], **context)
        publish_task("task.failed", task, :failed, { error_message: error_message, error_steps: error_steps, **context })
      end

      # (see #publish_task_started)
      def publish_task_retry_requested(task, retry_reason: "Task retry requested", **context)
        publish_task("task.retry_requested", task, :retry, { retry_reason: retry_reason, **context })
      end

      # (see #publish_task_started)
      def publish_task_pending_transition(task, reason: "Task set to pending", **context)
        publish_task("task.initialize_requested", task, :pending_transition, { reason: reason, **context })
      end

      # (see #publish_task_started)
      def publish_task_enqueue(task, **context)
        publish_task("observability.task.enqueue", task, :enqueue, { task_context: task.context, **context })
      end

      # @param task_id [Integer]
      # @return [nil]
      def publish_workflow_task_started(task_id, **context) = publish_workflow("workflow.task_started", :task_started, task_id: task_id, **context)

      # @param task_id [Integer]
      # @param step_id [Integer]
      # @return [nil]
      def publish_workflow_step_completed(task_id, step_id, **context)
        publish_workflow("workflow.step_completed", :step_completed, task_id: task_id, step_id: step_id, **context)
      end

      # @param task_id [Integer]
      # @param step_ids [Array<Integer>]
      # @return [nil]
      def publish_viable_steps_discovered(task_id, step_ids, processing_mode: "concurrent", **context)
        publish_workflow("workflow.viable_steps_discovered", :viable_steps_discovered, task_id: task_id, step_ids: step_ids,
                                                                                      processing_mode: processing_mode, step_count: step_ids.size, **context)
      end

      # @param task_id [Integer]
      # @return [nil]
      def publish_no_viable_steps(task_id, reason: "No steps ready for execution", **context)
        publish_workflow("workflow.no_viable_steps", :no_viable_steps, task_id: task_id, reason: reason, **context)
      end

      # @param task [Task]
      # @return [nil]
      def publish_task_finalization_started(task, processed_steps_count: 0, **context)
        publish_workflow("workflow.task_finalization_started", :task_finalization_started,
                         task_id: task.task_id, processed_steps_count: processed_steps_count, **context)
      end

      # @param task [Task]
      # @return [nil]
      def publish_task_finalization_completed(task, processed_steps_count: 0, **context)
        publish_workflow("workflow.task_finalization_completed", :task_finalization_completed,
                         task_id: task.task_id, processed_steps_count: processed_steps_count, final_status: task.status, **context)
      end

      # @param task [Task]
      # @return [nil]
      def publish_workflow_state_unclear(task, reason: "Task in unclear state", **context)
        publish_workflow_of(task, :task_state_unclear, reason: reason, **context)
      end

      # @param task [Task]
      # @return [nil]
      def publish_task_reenqueue_started(task, reason: "Task reenqueue started", **context)
        publish_workflow_of(task, :task_reenqueue_started, reason: reason, current_status: task.status, **context)
      end

      # @param task [Task]
      # @return [nil]
      def publish_task_reenqueue_requested(task, reason: "Task reenqueue requested", **context)
        publish_workflow_of(task, :task_reenqueue_requested, reason: reason, **context)
      end

      # @param task [Task]
      # @return [nil]
      def publish_task_reenqueue_failed(task, reason: "Task reenqueue failed", error: "Unknown error", **context)
        publish_workflow_of(task, :task_reenqueue_failed, reason: reason, error: error, **context)
      end

      # @param task [Task]
      # @param delay_seconds [Numeric]
      # @return [nil]
      def publish_task_reenqueue_delayed(task, delay_seconds:, reason: "Task reenqueue delayed", **context)
        publish_workflow_of(task, :task_reenqueue_delayed, reason: reason, delay_seconds: delay_seconds,
                                                           scheduled_for: Time.now.utc + delay_seconds, **context)
      end

      # @param task [Task]
      # @param step_count [Integer]
      # @return [nil]
      def publish_steps_execution_started(task, step_count:, processing_mode: "concurrent", **context)
        publish_workflow_of(task, :steps_execution_started, step_count: step_count, processing_mode: processing_mode, **context)
      end

      # @param task [Task]
      # @param processed_count [Integer]
      # @param successful_count [Integer]
      # @return [nil]
      def publish_steps_execution_completed(task, processed_count:, successful_count:, **context)
        publish_workflow_of(task, :steps_execution_completed, processed_count: processed_count, successful_count: successful_count, **context)
      end

      # @param name [String] such as "payment.risk_flagged"
      # @param payload [Hash]
      # @return [nil]
      def publish_event(name, payload = {}) = Events.publish(name, payload)

      # Like {#publish_event}, but marked as a custom event.
      def publish_custom_event(name, payload = {}) = Events.publish(name, payload.merge(event_type: "custom"))

      private

      def publish_step(name, step, type, context)
        Events.dispatch(name) { Events::EventPayloadBuilder.build_step_payload(step, event_type: type, additional_context: context) }
      end

      def publish_task(name, task, type, context)
        Events.dispatch(name) { Events::EventPayloadBuilder.build_task_payload(task, event_type: type, additional_context: context) }
      end

      def publish_workflow(name, type, **context)
        Events.dispatch(name) { Events::EventPayloadBuilder.build_orchestration_payload(event_type: type, context: context) }
      end

      def publish_workflow_of(task, type, **context)
        publish_workflow("workflow.#{type}", type, task_id: task.task_id, task_name: task.name, **context)
      end
    end
  end
end

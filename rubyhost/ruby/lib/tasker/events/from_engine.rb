# frozen_string_literal: true

module Tasker
  module Events
    # What the engine tells of tasks and steps, as the events that subscribers know. The
    # engine tells it after the commit.
    #
    # @api private
    module FromEngine
      EXHAUSTED = "observability.step.max_retries_reached"
      private_constant :EXHAUSTED

      class << self
        # @param subscriptions [Array<Subscription>]
        # @return [Array<String>] the kinds of the engine's events that somebody listens to
        def wanted(subscriptions)
          subscriptions = subscriptions.reject(&:own_only)
          return [] if subscriptions.empty?

          Names.by_kind.filter_map do |kind, entries|
            kind if entries.any? { |entry| subscriptions.any? { |subscription| subscription.wants?(entry.name) } }
          end
        end

        # Publishes what the engine has told.
        #
        # @param told [Hash{String => Object}] see orchestration/rubysteps/event_facts.go
        # @return [nil]
        def publish(told)
          Thread.current.thread_variable_set(:tasker_from_engine, true)
          Names.of(told["kind"], told["state"]).each do |entry|
            next if entry.name == EXHAUSTED && told.dig("error", "permanent")

            Events.dispatch(entry.name) { EnginePayload.new(told).of(entry.facts) }
          end
          nil
        ensure
          Thread.current.thread_variable_set(:tasker_from_engine, nil)
        end

        # @return [Boolean] whether this thread is publishing what the engine has told
        def publishing?
          Thread.current.thread_variable_get(:tasker_from_engine) == true
        end
      end
    end

    # The facts of one event of the engine, under tasker-engine's names and a few more that its
    # users' subscribers read.
    #
    # @api private
    class EnginePayload
      def initialize(told)
        @told = told
        @task = told["task"] || {}
        @step = told["step"]
      end

      # @param kind [Symbol] of {Names::Entry#facts}
      # @return [Hash{Symbol => Object}]
      def of(kind)
        common.merge(__send__(kind))
      end

      private

      def common
        { task_id: @told["task_id"], task_name: @task["name"], namespace_name: @task["namespace_name"], task_version: @task["version"],
          status: @told["state"], timestamp: time("at") || Time.now.utc }
      end

      def task(type = { "complete" => "completed", "error" => "failed" }.fetch(@told["state"], @told["state"]))
        ended = @told["kind"] == "task_ended"
        whole = duration_of_task
        { event_type: type, task_type: "Tasker::Task", context: Context.wrap(@told["context"] || {}), tags: @task["tags"],
          initiator: @task["initiator"], source_system: @task["source_system"], reason: @task["reason"],
          started_at: @task["created_at"], completed_at: (@told["at"] if ended),
          total_execution_duration: (whole if ended), current_execution_duration: (whole unless ended),
          execution_duration: whole, execution_duration_seconds: whole, **counts }
      end

      def task_started = task("started").then { |facts| facts.merge(task_context: facts[:context]) }

      def task_failed
        failed = @told["failed"].to_a.map { |step| error_step(step) }
        first = failed.first || {}
        task.merge(error_steps: failed, error_step_results: failed, failed_step_name: first[:step_name],
                   error_message: first[:error_message] || "the task has ended in error",
                   exception_class: first[:exception_class], error_class: first[:exception_class])
      end

      def finalized
        task("task_finalization_completed").merge(orchestration_event: true, final_status: @told["state"], processed_steps_count: @told["total_steps"])
      end

      def waiting
        task("task_reenqueue_delayed").merge(orchestration_event: true, reason: "no step can run before then", next_attempt_at: time("next"),
                                             scheduled_for: time("next"), delay_seconds: delay)
      end

      def step(type = @told["kind"].delete_prefix("step_"))
        { event_type: type, step_id: @step["id"], step_name: @step["name"], handler_class: @step["class"], task_namespace: @task["namespace_name"],
          started_at: @step["started_at"], attempt_number: @step["attempts"], retry_count: [@step["attempts"].to_i - 1, 0].max,
          retry_limit: @step["retry_limit"], retryable: @step["retryable"], step_dependencies: @step["parents"] }
      end

      def step_outcome
        failed = @told["error"]
        done = step.merge(orchestration_event: true, completed_at: @told["at"], execution_duration: @told["duration"],
                          execution_duration_seconds: @told["duration"])
        return done unless failed

        done.merge(error_facts(failed), max_retries_reached: @told["kind"] == "step_failed" && !failed["permanent"])
      end

      def retry
        step_outcome.merge(event_type: "retry", previous_attempts: @step["attempts"].to_i - 1, retry_reason: @told.dig("error", "message"),
                           backoff_strategy: @told["backoff"], backoff_type: @told["backoff"], backoff_seconds: delay, next_attempt_at: time("next"))
      end

      def steps
        step("viable_steps_discovered").merge(orchestration_event: true, step_ids: [@step["id"]], step_names: [@step["name"]], step_count: 1,
                                              processing_mode: @told["concurrent"] ? "concurrent" : "sequential")
      end

      def steps_done
        step_outcome.merge(event_type: "steps_execution_completed", processed_count: 1, successful_count: 1, failure_count: 0)
      end

      def error_step(step)
        { step_id: step["id"], step_name: step["name"], attempts: step["attempts"], **error_facts(step["error"] || {}) }
      end

      def error_facts(error)
        { error_message: error["message"], exception_class: error["class"], error_class: error["class"], error_code: error["error_code"],
          backtrace: error["backtrace"] }
      end

      def counts
        { total_steps: @told["total_steps"], completed_steps: @told["completed_steps"], failed_steps: @told["failed_steps"],
          pending_steps: @told["pending_steps"] }
      end

      def duration_of_task
        created = @task["created_at"] && Time.iso8601(@task["created_at"])
        created && (time("at") - created).round(6)
      end

      def delay = [(time("next") - time("at")).round(6), 0.0].max

      def time(key) = @told[key] && Time.iso8601(@told[key])
    end
  end
end

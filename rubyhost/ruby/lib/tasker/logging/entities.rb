# frozen_string_literal: true

module Tasker
  # Lines of JSON about a task, a step or a measure, and the id that ties lines together.
  module Logging
    CORRELATION_ID = :tasker_correlation_id
    # What took longer is logged as a warning.
    SLOW_SECONDS = 1.0
    CATEGORIES = { 0.1 => "fast", SLOW_SECONDS => "moderate", 5.0 => "slow" }.freeze
    private_constant :CORRELATION_ID, :SLOW_SECONDS, :CATEGORIES

    # An id for every line that is to be found together. It is the object's own until one
    # is given, and so differs from attempt to attempt.
    #
    # @return [String]
    def correlation_id
      Thread.current[CORRELATION_ID] || (@correlation_id ||= "tasker-#{SecureRandom.hex(8)}")
    end

    # @return [String, nil] for this object
    attr_writer :correlation_id

    # Gives all objects that log on this thread the id, within the block.
    #
    # @param id [String]
    # @yieldreturn [Object]
    # @return [Object] what the block returns
    def with_correlation_id(id)
      before = Thread.current[CORRELATION_ID]
      Thread.current[CORRELATION_ID] = id
      yield
    ensure
      Thread.current[CORRELATION_ID] = before
    end

    # @param task [Task]
    # @param event_type [Symbol, String] what happened, such as +:paused+
    # @param facts [Hash]
    # @return [nil]
    def log_task_event(task, event_type, **facts)
      log_structured(:info, "Task #{event_type}", entity_type: "task", entity_id: task.task_id, entity_name: task.name,
                                                  event_type: event_type, task_status: task.status, **facts)
    end

    # @param step [Step]
    # @param event_type [Symbol, String]
    # @param duration [Numeric, nil] in seconds
    # @param facts [Hash]
    # @return [nil]
    def log_step_event(step, event_type, duration: nil, **facts)
      log_structured(:info, "Step #{event_type}", entity_type: "step", entity_id: step.workflow_step_id, entity_name: step.name,
                                                  event_type: event_type, step_status: step.status, task_id: step.task_id,
                                                  **(duration ? Logging.measure(duration) : {}), **facts)
    end

    # @param operation [Symbol, String]
    # @param event_type [Symbol, String]
    # @param facts [Hash]
    # @return [nil]
    def log_orchestration_event(operation, event_type, **facts)
      log_structured(:debug, "Orchestration #{event_type}", entity_type: "orchestration", operation: operation, event_type: event_type, **facts)
    end

    # Logs how long something took: at level debug, and above a second as a warning.
    #
    # @param operation [Symbol, String]
    # @param duration [Numeric] in seconds
    # @param facts [Hash]
    # @return [nil]
    def log_performance_event(operation, duration, **facts)
      slow = duration > SLOW_SECONDS
      log_structured(slow ? :warn : :debug, "Performance measurement", entity_type: "performance", operation: operation,
                                                                       **Logging.measure(duration), is_slow: slow, **facts)
    end

    class << self
      # @api private
      # @param duration [Numeric] in seconds
      # @return [Hash]
      def measure(duration)
        { duration_ms: (duration * 1000).round(2), performance_category: CATEGORIES.find { |most, _| duration <= most }&.last || "very_slow" }
      end

      # @api private
      # @param own [String, nil] the object's id
      # @return [Hash] the id that holds, when one was asked for or given
      def correlation(own)
        id = Thread.current[CORRELATION_ID] || own
        id ? { correlation_id: id } : {}
      end
    end
  end
end

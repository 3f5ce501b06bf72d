# frozen_string_literal: true

module Tasker
  # The constants that tasker-engine's handlers and subscribers use.
  module Constants
    # What a task's status can be.
    module TaskStatuses
      PENDING = "pending"
      IN_PROGRESS = "in_progress"
      COMPLETE = "complete"
      ERROR = "error"
      CANCELLED = "cancelled"
      RESOLVED_MANUALLY = "resolved_manually"
    end

    # What a step's status can be.
    module WorkflowStepStatuses
      include TaskStatuses

      WAITING_FOR_RETRY = "waiting_for_retry"
    end

    # TaskEvents::COMPLETED is "task.completed", and so on for every event that tasker-engine has
    # a constant for. {Events::Names} says which of them come.
    %i[TaskEvents StepEvents WorkflowEvents ObservabilityEvents RegistryEvents].each { |name| autoload name, "tasker/constants/events" }
  end
end

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

    # The names of the events of steps.
    module StepEvents
      EXECUTION_REQUESTED = Events::STEP_STARTED
      BEFORE_HANDLE = Events::STEP_BEFORE_HANDLE
      COMPLETED = Events::STEP_COMPLETED
      FAILED = Events::STEP_FAILED
    end
  end
end

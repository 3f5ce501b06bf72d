# frozen_string_literal: true

# A trail that grows in the worker's thread, which lives as long as the process.
module ThreadLocal
  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      trail = Thread.current.thread_variable_get(:trail) || []
      trail << "the step that was run for the task with the number #{task.task_id}" # leak
      Thread.current.thread_variable_set(:trail, trail)
      { left: true }
    end
  end
end

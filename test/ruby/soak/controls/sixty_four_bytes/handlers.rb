# frozen_string_literal: true

# The smallest leak: a slot of 40 bytes, and 24 bytes of malloc, for which glibc takes 32.
# The Array has its size from the beginning, so it does not grow. Only the collector's
# mark stack does, by 8 bytes for each object that the Array refers to.
module SixtyFourBytes
  KEPT = Array.new(200_000)

  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      KEPT[task.task_id % KEPT.size] = ConditionVariable.new # leak
      { kept: true }
    end
  end
end

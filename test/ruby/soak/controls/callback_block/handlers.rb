# frozen_string_literal: true

# A list of callbacks that are never removed. Each block holds its task and the step.
module CallbackBlock
  CALLBACKS = []

  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      CALLBACKS << proc { task.context } # leak
      { waits: true }
    end
  end
end

# frozen_string_literal: true

# Each task leaves an object in a constant.
module ConstantArray
  Receipt = Struct.new(:task_id, :text)
  RECEIPTS = []

  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      RECEIPTS << Receipt.new(task.task_id, "the receipt of the task with the number #{task.task_id}") # leak
      { kept: true }
    end
  end
end

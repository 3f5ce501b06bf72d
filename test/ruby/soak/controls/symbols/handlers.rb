# frozen_string_literal: true

# Symbols of a bounded set, and one that only this step has and that is collected.
module Symbols
  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      state = "state_#{task.task_id % 50}".to_sym
      { state => "task_#{task.task_id}_of_#{task.name}".to_sym }
    end
  end
end

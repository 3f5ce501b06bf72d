# frozen_string_literal: true

# A list that grows for 700 tasks and is then written and cleared.
module Sawtooth
  FULL = 700
  @lines = []
  @lock = Mutex.new

  class << self
    def note(line)
      @lock.synchronize do
        @lines << line
        @lines.clear if @lines.size >= FULL
      end
    end
  end

  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      Sawtooth.note("a line of some length about the task with the number #{task.task_id}" * 4)
      { noted: true }
    end
  end
end

# frozen_string_literal: true

# A class remembers each task by its number, to see whether it came before.
module ClassHash
  class Work < Tasker::StepHandler::Base
    @seen = {}
    @lock = Mutex.new

    class << self
      def first_time?(task)
        @lock.synchronize do
          known = @seen.key?(task.task_id)
          @seen[task.task_id] = { "name" => task.name, "at" => Time.now } # leak
          !known
        end
      end
    end

    def process(task, _sequence, _step)
      { first: self.class.first_time?(task) }
    end
  end
end

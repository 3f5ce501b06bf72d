# frozen_string_literal: true

# The handlers of BenchmarkUpdate: each runs its config's count of updates.
module Bench
  # Times the updates of a subclass.
  class Updates < Tasker::StepHandler::Base
    def process(_task, _sequence, step)
      first, count = step.handler_config.values_at("first", "count")
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      count.times { |i| update(first + (i % 12_500)) }
      { began: began, ended: Process.clock_gettime(Process::CLOCK_MONOTONIC) }
    end
  end

  class TaskerDb < Updates
    def update(account)
      Tasker.db.exec("UPDATE accounts SET balance = balance + $1 WHERE id = $2", [1, account])
    end
  end
end

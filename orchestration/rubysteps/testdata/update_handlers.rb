# frozen_string_literal: true

require "tasker/sequel"
require "tasker/active_record"
require_relative "update_ways"

# The handlers of BenchmarkUpdate: each runs its config's count of updates.
module Bench
  # Times the updates of a subclass.
  class Updates < Tasker::StepHandler::Base
    def process(_task, _sequence, step)
      first, count = step.handler_config.values_at("first", "count")
      way = self.class::WAY
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      count.times { |i| way.update(first + (i % 12_500)) }
      { began: began, ended: Process.clock_gettime(Process::CLOCK_MONOTONIC) }
    end
  end

  class TaskerDb < Updates
    # Updates one account.
    module WAY
      def self.update(account)
        Tasker.db.exec("UPDATE accounts SET balance = balance + $1 WHERE id = $2", [1, account])
      end
    end
  end

  class Sequel < Updates
    WAY = UpdateWays::Sequel.new(Tasker.sequel)
  end

  class ActiveRecord < Updates
    UpdateWays::Account.establish_connection(adapter: "tasker")
    WAY = UpdateWays::ActiveRecord.new
  end
end

# frozen_string_literal: true

require "tasker/sequel"
require "tasker/active_record"
require_relative "update_adapters"

# The handlers of BenchmarkUpdate. Each runs as many updates as its config says.
module Bench
  # Times the updates of a subclass.
  class Updates < Tasker::StepHandler::Base
    def process(_task, _sequence, step)
      first, count = step.handler_config.values_at("first", "count")
      adapter = self.class::ADAPTER
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      count.times { |i| adapter.update(first + (i % 12_500)) }
      { began: began, ended: Process.clock_gettime(Process::CLOCK_MONOTONIC) }
    end
  end

  class TaskerDb < Updates
    # Updates one account.
    module ADAPTER
      def self.update(account)
        Tasker.db.exec("UPDATE accounts SET balance = balance + $1 WHERE id = $2", [1, account])
      end
    end
  end

  class Sequel < Updates
    ADAPTER = UpdateAdapters::Sequel.new(Tasker.sequel)
  end

  class ActiveRecord < Updates
    UpdateAdapters::Account.establish_connection(adapter: "tasker")
    ADAPTER = UpdateAdapters::ActiveRecord.new
  end
end

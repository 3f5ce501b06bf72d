# frozen_string_literal: true

module Tasker
  # Connections and results with the pg gem's methods, without the gem.
  # {Tasker.db} and the adapters for Sequel and ActiveRecord are built on them.
  module Postgres
    autoload :Channel, "tasker/postgres/channel"
    autoload :Connection, "tasker/postgres/connection"
    autoload :Result, "tasker/postgres/result"
    autoload :Failure, "tasker/postgres/failure"
    autoload :Notice, "tasker/postgres/failure"

    # Raised for BEGIN, COMMIT and the like inside a step.
    TransactionControlError = SQLError::TransactionControl

    # @return [Connection]
    def self.connect
      Connection.new
    end
  end
end

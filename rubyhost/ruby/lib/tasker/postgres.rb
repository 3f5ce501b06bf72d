# frozen_string_literal: true

module Tasker
  # The database as the libraries for Ruby know it: connections and results in
  # the shape of the pg gem's, which need no such gem. {Tasker.db} and the
  # adapters for Sequel and ActiveRecord are made of them.
  module Postgres
    autoload :Channel, "tasker/postgres/channel"
    autoload :Connection, "tasker/postgres/connection"
    autoload :Result, "tasker/postgres/result"
    autoload :Failure, "tasker/postgres/failure"

    # BEGIN, COMMIT and the like inside a step.
    TransactionControlError = SQLError::TransactionControl

    # @return [Connection]
    def self.connect
      Connection.new
    end
  end
end

# frozen_string_literal: true

require "json"
require "time"

require_relative "tasker/version"
require_relative "tasker/library"
require_relative "tasker/errors"
require_relative "tasker/context"
require_relative "tasker/document"
require_relative "tasker/logging"
require_relative "tasker/events"
require_relative "tasker/constants"
require_relative "tasker/step"
require_relative "tasker/task"
require_relative "tasker/segments"
require_relative "tasker/sequence"
require_relative "tasker/step_handler/base"

# The Ruby half of tasker-rb: what step handlers see.
#
# A handler is a class with +process(task, sequence, step)+, usually below
# {StepHandler::Base}. It runs inside a Go program that keeps the tasks and
# their steps in PostgreSQL; here are only the objects that such a handler is
# given, the errors it raises, and what it may call.
#
# @example
#   class ReserveInventory < Tasker::StepHandler::Base
#     def process(task, sequence, step)
#       order = sequence.find_step_by_name("validate_order").results
#       { reservation: Warehouse.reserve(order["items"]) }
#     end
#   end
module Tasker
  autoload :AfterCommit, "tasker/after_commit"
  autoload :DB, "tasker/db"
  autoload :Execution, "tasker/execution"
  autoload :HandlerLoader, "tasker/handler_loader"
  autoload :Postgres, "tasker/postgres"
  autoload :SQLError, "tasker/sql_error"
  autoload :Testing, "tasker/testing"

  class << self
    # The database: inside a step the transaction that commits with the step's
    # results, outside steps one that each statement commits by itself.
    #
    # @return [DB]
    # @example
    #   Tasker.db.exec("UPDATE accounts SET balance = balance - $1 WHERE id = $2", [amount, id])
    def db
      DB.current
    end

    # The same database for Sequel: what its datasets and models do inside a
    # step commits with the step's results. Needs the gems sequel and pg.
    #
    # @param options [Hash] as of Sequel.connect, but for those that say where
    #   the server is; without any, each call returns the same database
    # @return [SequelAdapter::Database]
    # @example
    #   DB = Tasker.sequel
    #   DB[:accounts].where(id: id).update(balance: Sequel[:balance] - amount)
    def sequel(**options)
      require "tasker/sequel"
      SequelAdapter.database(options)
    end

    # Runs the block once, after the commit of what surrounds it: inside a step
    # the step's transaction, outside steps the transaction that is open, and
    # at once if none is. It does not run after a rollback, nor when the
    # process dies in between.
    #
    # @yield on some thread, outside the step: its SQL commits by itself, and
    #   what it raises is logged and fails nothing
    # @example
    #   Tasker.after_commit { Mailer.confirm(order_id) }
    def after_commit(&block)
      AfterCommit.add(committed: block)
    end

    # Runs the block once when what surrounds it has been rolled back.
    #
    # @see .after_commit
    def after_rollback(&block)
      AfterCommit.add(rolled_back: block)
    end
  end
end

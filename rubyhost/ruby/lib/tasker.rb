# frozen_string_literal: true

require "json"
require "time"

require_relative "tasker/version"
require_relative "tasker/article"
require_relative "tasker/ruby_versions"
require_relative "tasker/library"
require_relative "tasker/errors"
require_relative "tasker/context"
require_relative "tasker/document"
require_relative "tasker/logging"
require_relative "tasker/events"
require_relative "tasker/constants"
require_relative "tasker/concerns"
require_relative "tasker/step"
require_relative "tasker/task"
require_relative "tasker/segments"
require_relative "tasker/sequence"
require_relative "tasker/step_handler/base"

# The Ruby half of tasker-rb: the API of step handlers.
#
# A handler is a class with +process(task, sequence, step)+, usually below
# {StepHandler::Base}. It runs inside a Go program that keeps the tasks and
# their steps in PostgreSQL. This library has the objects that a handler gets,
# the errors that it raises, and the methods that it may call.
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
  autoload :AnnotationType, "tasker/annotations"
  autoload :Annotations, "tasker/annotations"
  autoload :ConfiguredTask, "tasker/configured_task"
  autoload :DB, "tasker/db"
  autoload :Execution, "tasker/execution"
  autoload :HandlerFactory, "tasker/handler_factory"
  autoload :HandlerLoader, "tasker/handler_loader"
  autoload :HashIdentityStrategy, "tasker/identity_strategy"
  autoload :Hints, "tasker/hints"
  autoload :IdentityStrategy, "tasker/identity_strategy"
  autoload :MissedStep, "tasker/missed_step"
  autoload :Postgres, "tasker/postgres"
  autoload :SQLError, "tasker/sql_error"
  autoload :StepTemplate, "tasker/task_handler"
  autoload :TaskAnnotation, "tasker/annotations"
  autoload :TaskHandler, "tasker/task_handler"
  autoload :Testing, "tasker/testing/handlers"

  module Types
    autoload :StepTemplate, "tasker/task_handler"
    autoload :TaskRequest, "tasker/task_request"
  end

  class << self
    # The database. Inside a step, all statements run in the transaction that
    # commits with the step's results. Outside steps each statement commits by
    # itself.
    #
    # @return [DB]
    # @example
    #   Tasker.db.exec("UPDATE accounts SET balance = balance - $1 WHERE id = $2", [amount, id])
    def db
      DB.current
    end

    # The same database for Sequel. Inside a step, the changes of its datasets
    # and models commit with the step's results. Needs the gems sequel and pg.
    #
    # @param options [Hash] as for Sequel.connect, without the options that say
    #   where the server is; without any option, each call returns the same database
    # @return [SequelAdapter::Database]
    # @example
    #   DB = Tasker.sequel
    #   DB[:accounts].where(id: id).update(balance: Sequel[:balance] - amount)
    def sequel(**options)
      require "tasker/sequel"
      SequelAdapter.database(options)
    end

    # Runs the block once, after the commit of the transaction around it. Inside
    # a step this is the step's transaction; outside steps it is the open one.
    # Without a transaction the block runs at once. It does not run after a
    # rollback, nor when the process dies before the block has run.
    #
    # @yield on any thread, outside the step. The block's SQL commits by itself.
    #   Its exception is logged, and fails nothing.
    # @example
    #   Tasker.after_commit { Mailer.confirm(order_id) }
    def after_commit(&block)
      AfterCommit.add(committed: block)
    end

    # Keeps the threads that the block starts, and those that they start. Other
    # threads that a handler's own code starts are ended with its step. Outside
    # the host it only calls the block.
    #
    # @return [Object] what the block returns
    # @example
    #   Tasker.keep_thread { @poller ||= Thread.new { poll } }
    def keep_thread
      before = Thread.current[:tasker_keep_thread]
      Thread.current[:tasker_keep_thread] = true
      yield
    ensure
      Thread.current[:tasker_keep_thread] = before
    end

    # Runs the block once, after a rollback of the transaction around it.
    #
    # @see .after_commit
    def after_rollback(&block)
      AfterCommit.add(rolled_back: block)
    end
  end
end

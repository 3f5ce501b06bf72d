# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # Newer versions have blocks that wait for the open transactions, and return a
    # connection to the pool after each statement. A thread without a connection
    # seems to have no transaction there. In a step it has one.
    #
    # @!visibility private
    module OpenTransactions
      # For the module ActiveRecord. ActiveRecord.after_all_transactions_commit asks
      # it.
      module All
        def all_open_transactions
          open = super
          return open if open.any? { |transaction| transaction.connection.is_a?(::ActiveRecord::ConnectionAdapters::TaskerAdapter) }

          step = StepTransaction.current
          step && !open.include?(step) ? open << step : open
        end
      end

      # For the class ActiveRecord::Base.
      module OfModels
        def current_transaction
          pool = connection_pool
          step = StepTransaction.current if pool.db_config.adapter == "tasker" && !pool.active_connection
          step ? step.user_transaction : super
        end
      end
    end
  end
end

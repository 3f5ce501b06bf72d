# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # The transactions of one connection in one step. The step's own transaction
    # is at the bottom of the stack, so all others are savepoints.
    #
    # @!visibility private
    class StepTransactionManager < ::ActiveRecord::ConnectionAdapters::TransactionManager
      def initialize(connection, step_transaction)
        super(connection)
        @step_transaction = step_transaction
        @stack << @step_transaction
      end

      def begin_transaction(**options)
        outermost = at_bottom?
        transaction = super
        Outermost.make(transaction, @step_transaction) if outermost
        Postgres::Channel.before_others(self) unless transaction.materialized?
        transaction
      end

      # Sends the savepoints that were not sent yet. Another connection of the
      # step, such as Tasker.db, calls this before it runs a statement.
      def precede
        materialize_transactions if @connection.transaction_manager.equal?(self) # a later step has its own
      end

      def commit_transaction
        refuse("commit_transaction") if at_bottom?
        super
      end

      # The rollback leaves the savepoint there. The engine would go on to keep the
      # step's other threads out of it.
      def rollback_transaction(transaction = nil)
        refuse("rollback_transaction") if transaction.nil? && at_bottom?
        ended = transaction || @stack.last
        left = ended.savepoint_name if ended.materialized? && !ended.state.invalidated?
        super
        @connection.release_savepoint(left) if left
      end

      def at_bottom?
        @stack.size == 1
      end

      private

      def refuse(method)
        raise Postgres::TransactionControlError.new(
          "state" => "2D000", "rule" => true,
          "message" => "#{method} is not possible here: the step's transaction is the engine's, and commits with the step's results",
          "hint" => "raise an error to have it rolled back"
        )
      end
    end
  end
end

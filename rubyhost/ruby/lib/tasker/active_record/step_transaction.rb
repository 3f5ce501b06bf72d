# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # The transaction that is open for as long as a step runs: the engine's. It
    # is never committed or rolled back from here.
    #
    # @!visibility private
    class StepTransaction < ::ActiveRecord::ConnectionAdapters::Transaction
      def initialize(connection)
        super(connection, joinable: true)
        @materialized = true
        @waiting = []
        @ended = []
      end

      def materialize!; end
      def restore!; end
      def incomplete!; end

      # What newer versions do to a transaction without statements: ROLLBACK,
      # and begin again.
      def restartable?
        false
      end

      # Nor can it be begun again on another connection.
      def dirty?
        true
      end

      # A record that belongs to no transaction of ActiveRecord's.
      def add_record(record, _ensure_finalize = true)
        alone { |transaction| transaction.add_record(record) }
      end

      def after_commit(&block)
        alone { |transaction| transaction.after_commit(&block) }
      end

      def after_rollback(&block)
        alone { |transaction| transaction.after_rollback(&block) }
      end

      # There is no telling when the engine will commit.
      def before_commit
        yield
      end

      # Keeps what an outermost transaction has to run after its commit until
      # the step's, or until it is known that there will be none.
      #
      # @param transaction [Outermost]
      def defer(transaction)
        @waiting << transaction
        Tasker::AfterCommit.add(committed: -> { committed(transaction) }, rolled_back: -> { rolled_back(transaction) })
      end

      private

      def alone
        transaction = ::ActiveRecord::ConnectionAdapters::Transaction.new(connection, joinable: true)
        Outermost.make(transaction, self)
        yield transaction
        transaction.before_commit_records
        transaction.commit_records
      end

      # The records of the whole step come as one transaction's: one that was
      # saved many times runs its callbacks once. So the last that waits runs
      # all of them.
      def committed(transaction)
        Outermost.commit(@ended) if ended(transaction)
      end

      # From the last to the first, as each goes back to what it found.
      def rolled_back(transaction)
        return transaction.roll_back_later unless ended(transaction)

        @ended.reverse_each(&:roll_back_later)
      end

      def ended(transaction)
        @waiting.delete(transaction)
        @ended << transaction
        @waiting.empty?
      end
    end
  end
end

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
        @committed = []
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

      # A record that does not belong to a transaction of ActiveRecord's.
      def add_record(record, _ensure_finalize = true)
        alone { |transaction| transaction.add_record(record) }
      end

      def after_commit(&block)
        alone { |transaction| transaction.after_commit(&block) }
      end

      def after_rollback(&block)
        alone { |transaction| transaction.after_rollback(&block) }
      end

      # There is no telling when the engine will commit, but that nothing of
      # the step comes in between can be had at once.
      def before_commit
        yield
      end

      # Keeps what an outermost transaction has to run after its commit until
      # the step's, or until it is known that there will be none.
      #
      # @param transaction [Deferred]
      def defer(transaction)
        @waiting << transaction
        Tasker::AfterCommit.add(committed: -> { committed(transaction) }, rolled_back: -> { rolled_back(transaction) })
      end

      private

      def alone
        transaction = ::ActiveRecord::ConnectionAdapters::Transaction.new(connection, run_commit_callbacks: true)
        transaction.extend(Deferred)
        transaction.step_transaction = self
        yield transaction
        transaction.before_commit_records
        transaction.commit_records
      end

      # The records of the whole step come as one transaction's: one that was
      # saved many times runs its callbacks once. So the last that waits runs
      # all of them.
      def committed(transaction)
        @waiting.delete(transaction)
        @committed << transaction
        return unless @waiting.empty?

        transactions, @committed = @committed, []
        Deferred.commit(transactions)
      end

      def rolled_back(transaction)
        @waiting.delete(transaction)
        transaction.rollback_records
      end

      # What makes an outermost transaction of ActiveRecord's, a savepoint of
      # the step's, wait with its callbacks. The records without any are done.
      module Deferred
        attr_writer :step_transaction

        def self.extended(transaction)
          # The callbacks before a commit are due at its own end.
          transaction.instance_variable_set(:@run_commit_callbacks, true)
        end

        # @param transactions [Array<Deferred>]
        def self.commit(transactions)
          records = transactions.flat_map(&:surrender_records)
          transactions.first.take_records(records)
          transactions.each(&:commit_records_now)
        end

        def commit_records
          callbacks, @callbacks = @callbacks, nil
          waiting, done = (records || []).partition { |record| callbacks?(record) }
          unless done.empty?
            @records = done
            super
          end
          @callbacks = callbacks
          @records = waiting
          @step_transaction.defer(self) unless waiting.empty? && callbacks.nil?
        end

        def commit_records_now
          Deferred.super_method_of(self, :commit_records).call
        end

        def surrender_records
          given, @records = @records, nil
          given || []
        end

        def take_records(records)
          @records = records unless records.empty?
        end

        def self.super_method_of(transaction, name)
          transaction.method(name).super_method
        end

        private

        def callbacks?(record)
          !record.respond_to?(:has_transactional_callbacks?, true) || record.__send__(:has_transactional_callbacks?)
        end
      end
    end
  end
end

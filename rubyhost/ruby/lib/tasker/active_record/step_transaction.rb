# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # The engine's transaction, which is open while a step runs. ActiveRecord
    # never commits it and never rolls it back. All connections of a step share it:
    # newer versions take one from the pool for each statement.
    #
    # @!visibility private
    class StepTransaction < ::ActiveRecord::ConnectionAdapters::Transaction
      @lock = Mutex.new
      @of_steps = {}

      class << self
        # @return [StepTransaction, nil] of the caller's step; nil outside steps
        def current
          serial = Host.job_serial
          return nil if serial.zero?

          @of_steps[serial] || (begun(serial) if Tasker.db.in_step?)
        end

        private

        def begun(serial)
          @lock.synchronize do
            steps = @of_steps.select { |other, _| Host.running?(other) }
            transaction = steps[serial] ||= new
            @of_steps = steps.freeze # other threads may read it meanwhile
            transaction
          end
        end
      end

      def initialize
        super(nil, joinable: true) # no statement is sent through it
        @materialized = true
        @waiting = []
        @ended = []
      end

      def materialize!; end
      def restore!; end
      def incomplete!; end

      # Newer versions would end a transaction without statements by ROLLBACK,
      # and begin it again.
      def restartable?
        false
      end

      # It cannot be begun again on another connection either.
      def dirty?
        true
      end

      # Takes a record that was changed outside ActiveRecord's transactions.
      def add_record(record, _ensure_finalize = true)
        alone { |transaction| transaction.add_record(record) }
      end

      def after_commit(&block)
        alone { |transaction| transaction.after_commit(&block) }
      end

      def after_rollback(&block)
        alone { |transaction| transaction.after_rollback(&block) }
      end

      # Runs the block at once, because it is unknown when the engine commits.
      def before_commit
        yield
      end

      # Keeps the callbacks of an outermost transaction until the step has
      # committed or has been rolled back.
      #
      # @param transaction [Outermost]
      def defer(transaction)
        @waiting << transaction
        Tasker::AfterCommit.add(committed: -> { committed(transaction) }, rolled_back: -> { rolled_back(transaction) })
      end

      private

      def alone
        transaction = ::ActiveRecord::ConnectionAdapters::Transaction.new(nil, joinable: true)
        Outermost.make(transaction, self)
        yield transaction
        transaction.before_commit_records
        transaction.commit_records
      end

      # The whole step counts as one transaction: a record that was saved many
      # times runs its callbacks once. So the last waiting transaction runs the
      # callbacks of all.
      def committed(transaction)
        Outermost.commit(@ended) if ended(transaction)
      end

      # Goes from the last to the first, because each restores the state that it
      # found.
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

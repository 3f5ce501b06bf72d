# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # Extends the outermost ActiveRecord transaction in a step. In the database it
    # is a savepoint. For its records it is a whole transaction, with one
    # exception: their after_commit callbacks wait for the step's commit.
    #
    # @!visibility private
    module Outermost
      # The variables in which a record keeps its changes in a transaction.
      STATE = %i[@_start_transaction_state @_new_record_before_last_commit @_trigger_update_callback
                 @_trigger_destroy_callback].freeze
      CALLBACKS = STATE.drop(1).freeze
      private_constant :STATE, :CALLBACKS

      # @param transaction [::ActiveRecord::ConnectionAdapters::Transaction]
      # @param step [StepTransaction]
      def self.make(transaction, step)
        transaction.extend(self)
        transaction.outermost_in(step)
      end

      # Runs the callbacks of several transactions as those of one.
      #
      # @param transactions [Array<Outermost>]
      def self.commit(transactions)
        records = transactions.flat_map(&:give_records)
        transactions.first.take_records(records)
        transactions.each(&:commit_later)
      end

      # @param step [StepTransaction]
      def outermost_in(step)
        @step_transaction = step
        @run_commit_callbacks = true # before_commit callbacks run when the savepoint ends
      end

      # A rollback restores its records completely, because they keep no state
      # from before this transaction.
      def full_rollback?
        true
      end

      def commit_records
        callbacks, @callbacks = @callbacks, nil # newer versions: blocks of the transaction itself
        waiting, done = (records || []).uniq(&:__id__).partition { |record| waits?(record) }
        unless done.empty?
          @records = done
          super
        end
        @callbacks = callbacks
        @kept = waiting.map { |record| [record, keep(record)] }
        @step_transaction.defer(self) unless waiting.empty? && callbacks.nil?
      end

      # @return [Array] the waiting records. They remember the changes of this
      #   transaction and of those before it.
      def give_records
        @records = nil
        @kept.map do |record, state|
          state&.each { |name, value| record.instance_variable_set(name, value) if CALLBACKS.include?(name) && value }
          record
        end
      end

      def take_records(records)
        @records = records.empty? ? nil : records
      end

      def commit_later
        Outermost.original(self, :commit_records)
      end

      def roll_back_later
        return if @rolled_back

        @rolled_back = true
        @records = @kept.map do |record, state|
          state&.each { |name, value| record.instance_variable_set(name, value) }
          record
        end
        @records = nil if @records.empty?
        rollback_records
      end

      def self.original(transaction, name)
        transaction.method(name).super_method.call
      end

      private

      def waits?(record)
        !record.respond_to?(:has_transactional_callbacks?, true) || record.__send__(:has_transactional_callbacks?)
      end

      # Clears the transaction's state in a record, as a commit does. The step's
      # next change to the record can then be rolled back alone.
      def keep(record)
        return nil unless record.is_a?(::ActiveRecord::Transactions)

        state = STATE.to_h { |name| [name, record.instance_variable_get(name)] }
        record.committed!(should_run_callbacks: false)
        state
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # The names of a connection's prepared statements. Dropping one sends no
    # DEALLOCATE: inside a step that could fail, and the step with it.
    #
    # @!visibility private
    class StatementPool < ::ActiveRecord::ConnectionAdapters::PostgreSQLAdapter::StatementPool
      # @param adapter [::ActiveRecord::ConnectionAdapters::TaskerAdapter]
      # @param limit [Integer, nil]
      def initialize(adapter, limit)
        super
        @adapter = adapter
      end

      private

      def dealloc(name)
        @adapter.forget_statement(name)
      end
    end
  end
end

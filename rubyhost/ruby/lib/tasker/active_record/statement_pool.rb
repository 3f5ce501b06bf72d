# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # The names of a connection's prepared statements. To give one up takes no
    # statement, which inside a step could fail and take the step with it.
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

# frozen_string_literal: true

require "tasker"
require "active_record"

module Tasker
  # ActiveRecord on the database of the steps.
  #
  #   require "tasker/active_record"
  #   ActiveRecord::Base.establish_connection adapter: "tasker"
  #
  # It is ActiveRecord's own PostgreSQL adapter on a {Postgres::Connection}.
  # Inside a step everything that models do is part of the step's transaction,
  # as if the handler ran in the block of an outer +transaction+; outside steps
  # the adapter is an ordinary one. docs/transactions.md has the rules.
  module ActiveRecord
    # A migration, or another change of the schema, inside a step. Permanent,
    # for another attempt would do the same.
    class SchemaChangeError < Tasker::PermanentError
      # @param operation [Symbol, String]
      def initialize(operation)
        super("#{operation} is not possible inside a step: it would lock its table until the step's transaction ends; " \
              "run migrations before the workers start", error_code: "SCHEMA_CHANGE_IN_STEP")
      end
    end
  end
end

# Newer versions find adapters by what was registered, the others by file name.
if ActiveRecord::ConnectionAdapters.respond_to?(:register)
  ActiveRecord::ConnectionAdapters.register(
    "tasker", "ActiveRecord::ConnectionAdapters::TaskerAdapter", "active_record/connection_adapters/tasker_adapter"
  )
end

# As Rails does in production; Tasker::Host::Autoloads says what might happen in
# steps otherwise.
[ActiveSupport, ActiveModel, ActiveRecord].each(&:eager_load!) if Tasker.const_defined?(:Host, false)

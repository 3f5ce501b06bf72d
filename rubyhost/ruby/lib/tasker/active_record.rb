# frozen_string_literal: true

require "tasker"
require "active_record"

# Before 6.1 an adapter was made in another way, and would fail at its first statement.
Tasker::RubyVersions.refuse_before("6.1", "ActiveRecord", ActiveRecord.gem_version, by: "tasker/active_record")

module Tasker
  # ActiveRecord on the database of the steps.
  #
  #   require "tasker/active_record"
  #   ActiveRecord::Base.establish_connection adapter: "tasker"
  #
  # This is ActiveRecord's own PostgreSQL adapter on a {Postgres::Connection}.
  # Inside a step, all changes by models are part of the step's transaction. It
  # is as if the handler ran in the block of an outer +transaction+. Outside
  # steps it is an ordinary adapter. docs/transactions.md has the rules.
  module ActiveRecord
    # A migration, or another change of the schema, inside a step. It is a
    # permanent error, because another attempt would do the same.
    class SchemaChangeError < Tasker::PermanentError
      # @param operation [Symbol, String]
      def initialize(operation)
        super("#{operation} is not possible inside a step: it would lock its table until the step's transaction ends; " \
              "run migrations before the workers start", error_code: "SCHEMA_CHANGE_IN_STEP")
      end
    end
  end
end

require "tasker/active_record/versions"

if Tasker::ActiveRecord::Versions.registry?
  ActiveRecord::ConnectionAdapters.register(
    "tasker", "ActiveRecord::ConnectionAdapters::TaskerAdapter", "active_record/connection_adapters/tasker_adapter"
  )
end

# Rails does this in production. Tasker::Host::Autoloads says why autoloads must
# not happen in steps.
[ActiveSupport, ActiveModel, ActiveRecord].each(&:eager_load!) if Tasker.const_defined?(:Host, false)

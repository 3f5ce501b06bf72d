# frozen_string_literal: true

module Tasker
  module SequelAdapter
    # A connection with the methods that Sequel's adapter adds to the pg gem's.
    class Connection < Postgres::Connection
      # The SQLSTATEs after which a connection is unusable. PostgreSQL says 08P01 of a wrong
      # number of parameters; a pooler's comes as PG::ConnectionBad.
      LOST = /\A(?:08(?!P01)|57P0[1235])/.freeze
      private_constant :LOST

      # @return [Hash{String=>String}] SQL by name
      attr_reader :prepared_statements

      # @param database [Database]
      def initialize(database)
        super()
        @db = database
        @prepared_statements = {}
      end

      # Runs a statement.
      #
      # @param args [Array, nil] for $1, $2, …
      # @yieldparam result [Postgres::Result]
      # @return [Object] the block's value, or how many rows the statement touched
      def execute(sql, args = nil)
        args = args.map { |a| @db.bound_variable_arg(a, self) } if args
        result = check_disconnect_errors { execute_query(sql, args) }
        begin
          block_given? ? yield(result) : result.cmd_tuples
        ensure
          result&.clear
        end
      end

      # @raise [::Sequel::DatabaseDisconnectError] when the connection is lost
      def check_disconnect_errors
        yield
      rescue ::PG::ConnectionBad => e
        raise ::Sequel.convert_exception_class(e, ::Sequel::DatabaseDisconnectError)
      rescue ::PG::Error => e
        raise if usable? && !LOST.match?(e.result&.error_field(::PG::PG_DIAG_SQLSTATE).to_s)

        raise ::Sequel.convert_exception_class(e, ::Sequel::DatabaseDisconnectError)
      end

      private

      def usable?
        status == ::PG::CONNECTION_OK
      rescue ::PG::Error
        false
      end

      def execute_query(sql, args)
        return forget_prepared(sql) if sql.start_with?("DEALLOCATE ")

        @db.log_connection_yield(sql, self, args) { args ? exec_params(sql, args) : exec(sql) }
      end

      # Sequel sends DEALLOCATE as a text, but the server does not know the name:
      # it exists in this connection only.
      def forget_prepared(sql)
        name = sql.delete_prefix("DEALLOCATE ").delete('"')
        deallocate(name)
        @prepared_statements.delete(name)
        NOTHING
      end

      # The result of a statement that was not sent.
      NOTHING = Object.new
      class << NOTHING
        def cmd_tuples
          0
        end

        def clear; end
      end
      private_constant :NOTHING
    end
  end
end

# frozen_string_literal: true

module Tasker
  # An error of the database. Like any StandardError it fails the step, which
  # is tried again within its limit. Another attempt helps against serialization
  # failures, deadlocks and lost connections. The classes below are for rescue
  # clauses; they do not decide about retries. The host maps a SQLSTATE to its
  # class (orchestration/sqlsession/sqlstate.go).
  #
  # @example
  #   begin
  #     Tasker.db.transaction { Tasker.db.exec("INSERT INTO users (email) VALUES ($1)", [email]) }
  #   rescue Tasker::SQLError::UniqueViolation => e
  #     raise Tasker::PermanentError, "#{email} is taken (#{e.constraint_name})"
  #   end
  class SQLError < Error
    # @return [Hash{String=>Object}] PostgreSQL's fields, and "class", "rule", "earlier",
    #   "place" (the earlier statement's backtrace)
    attr_reader :fields

    # @param fields [Hash{String=>Object}] as the host reports them
    def initialize(fields)
      fields = { "message" => fields.to_s } unless fields.is_a?(Hash)
      @fields = fields
      super(self.class.text(fields))
    end

    # @return [String] five characters
    def sqlstate
      @fields["state"]
    end
    alias error_code sqlstate

    # @return [String, nil]
    def detail
      @fields["detail"]
    end

    # @return [String, nil] PostgreSQL's advice
    def hint
      @fields["hint"]
    end

    # @return [String, nil]
    def schema_name
      @fields["schema"]
    end

    # @return [String, nil]
    def table_name
      @fields["table"]
    end

    # @return [String, nil]
    def column_name
      @fields["column"]
    end

    # @return [String, nil]
    def constraint_name
      @fields["constraint"]
    end

    # True when an earlier statement failed, and not this one. The transaction has
    # failed, and no statement runs until a rollback to a savepoint.
    def earlier?
      @fields["earlier"] ? true : false
    end

    class << self
      # Makes an error of the class that the host has named.
      #
      # @param fields [Hash{String=>Object}]
      # @return [SQLError]
      def from(fields)
        name = fields["class"].to_s
        klass = !name.empty? && const_defined?(name, false) ? const_get(name, false) : SQLError
        klass.new(fields).tap { |error| error.set_backtrace(fields["place"]) if fields["place"] }
      end

      # PostgreSQL's message, as psql shows it.
      #
      # @return [String]
      def text(fields)
        lines = [fields["message"].to_s]
        lines << "an earlier statement of this transaction failed with it; nothing more can run" if fields["earlier"]
        %w[detail hint].each { |k| lines << "#{k.upcase}: #{fields[k]}" if fields[k] }
        lines.join("\n")
      end
    end

    class ConnectionLost < SQLError; end

    # There is no database to ask: it cannot be reached, refuses the login, or has no tables
    # of tasker-rb. The message says which, and what to do.
    class NotConnected < SQLError; end

    class DataException < SQLError; end
    class IntegrityConstraintViolation < SQLError; end
    class NotNullViolation < IntegrityConstraintViolation; end
    class ForeignKeyViolation < IntegrityConstraintViolation; end
    class UniqueViolation < IntegrityConstraintViolation; end
    class CheckViolation < IntegrityConstraintViolation; end
    class ExclusionViolation < IntegrityConstraintViolation; end
    class ReadOnlyTransaction < SQLError; end
    class SerializationFailure < SQLError; end
    class DeadlockDetected < SQLError; end
    class InsufficientPrivilege < SQLError; end
    class SyntaxError < SQLError; end
    class UndefinedColumn < SQLError; end
    class UndefinedFunction < SQLError; end
    class UndefinedTable < SQLError; end
    class InsufficientResources < SQLError; end
    class LockNotAvailable < SQLError; end
    class QueryCanceled < SQLError; end

    # PostgreSQL refused a statement with a wrong number of parameters.
    class ProtocolViolation < SQLError; end

    # A statement that a handler may not run: COMMIT in a step, or SQL in a thread
    # whose step has ended. It is a permanent error, because another attempt would
    # do the same. When the handler rescues it, the transaction goes on.
    class TransactionControl < SQLError; end
  end
end

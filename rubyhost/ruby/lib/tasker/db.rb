# frozen_string_literal: true

require "date"
require "time"
require_relative "ruby_versions"

Tasker::RubyVersions.library("bigdecimal")

module Tasker
  # SQL for handlers; see {Tasker.db}. A row is a Hash of Ruby values.
  #
  # @example
  #   account = Tasker.db.first("SELECT * FROM accounts WHERE id = $1 FOR UPDATE", [id])
  #   raise Tasker::PermanentError, "too little money" if account["balance"] < amount
  #
  #   Tasker.db.exec("UPDATE accounts SET balance = balance - $1 WHERE id = $2", [amount, id]).affected # => 1
  class DB
    autoload :Decode, "tasker/db/decode"
    autoload :Encode, "tasker/db/encode"

    # A block of {#transaction} raises it to roll back. Transaction then returns
    # nil.
    class Rollback < Tasker::Error; end

    # The rows of a statement.
    class Rows < Array
      # @return [Integer] how many rows the statement inserted, updated,
      #   deleted or returned
      attr_reader :affected
      # @return [Array<String>]
      attr_reader :columns

      # @!visibility private
      def initialize(rows, columns, affected)
        super(rows)
        @columns = columns
        @affected = affected
      end
    end

    class << self
      # Each thread has its own, because outside steps a transaction belongs to its
      # thread.
      #
      # @return [DB]
      def current
        Thread.current.thread_variable_get(:tasker_db) ||
          new.tap { |db| Thread.current.thread_variable_set(:tasker_db, db) }
      end
    end

    # @!visibility private
    attr_reader :number

    def initialize
      @number = Postgres::Connection.next_number
      @depth = 0
      ObjectSpace.define_finalizer(self, Postgres::Connection.forgetting(@number))
    end

    # Runs one statement with parameters, or several without. After several, it
    # returns the rows of the last statement.
    #
    # Values go in and come out as Integer, Float, BigDecimal, true, false, nil,
    # String (in binary encoding for bytea), Time, Date, Hash or Array (for json
    # and jsonb), and Array (for PostgreSQL arrays). A value of any other type
    # comes as the String that PostgreSQL writes.
    #
    # @param sql [String] with $1, $2, … where params go
    # @param params [Array]
    # @return [Rows<Hash{String=>Object}>]
    # @raise [SQLError]
    # @raise [ArgumentError] when params is no Array
    def exec(sql, params = [])
      refuse_params(params) unless params.is_a?(Array)

      encoded = params.empty? ? nil : params.map { |p| Encode.param(p) }
      reply = Postgres::Channel.exec(@number, sql, encoded) { |fields| raise SQLError.from(fields) }
      return Rows.new([], [], reply.affected) unless reply.more?

      result = Postgres::Result.new(reply)
      Rows.new(Decode.rows(result), result.fields, reply.affected)
    end

    # @return [Hash{String=>Object}, nil] the first row
    def first(sql, params = [])
      exec(sql, params).first
    end

    # @return [Integer] how many rows the statement touched
    def affected(sql, params = [])
      exec(sql, params).affected
    end

    # Inside a step this is a savepoint. Outside steps it is a transaction, and
    # inside that transaction a savepoint. An exception rolls back and is raised
    # again. Leaving the block in any other way keeps the changes.
    #
    # @return [Object] the block's value; nil after {Rollback}
    def transaction
      first, keep, undo = brackets
      exec(first)
      @depth += 1
      finished = false
      begin
        value = yield self
        finished = true
      rescue Exception => e # rubocop:disable Lint/RescueException
        failed = e
        raise unless e.is_a?(Rollback)
      ensure
        @depth -= 1
        failed ? roll_back(undo, failed) : exec(keep)
      end
      finished ? value : nil
    end

    # Whether the caller runs in a step. The engine owns the step's transaction.
    def in_step?
      Postgres::Channel.state(@number).first
    end

    # @return [Boolean] whether a transaction is open
    def in_transaction?
      Postgres::Channel.state(@number).last != 73 # I
    end

    # See {Tasker.after_commit}.
    def after_commit(&block)
      Tasker.after_commit(&block)
    end

    # @return [String]
    def inspect
      "#<#{self.class.name}>"
    end

    private

    def refuse_params(params)
      raise ArgumentError, "params are an Array, such as [#{params.inspect[0, 40]}]" unless params.is_a?(Hash)

      name = params.each_key.first
      keyword = "; there is no keyword #{name}:" if name.is_a?(Symbol)
      raise ArgumentError, "params are an Array with the values of $1, $2 and so on, not a Hash#{keyword}"
    end

    def brackets
      return ["BEGIN", "COMMIT", "ROLLBACK"] unless in_transaction?

      name = "tasker_#{@depth}"
      ["SAVEPOINT #{name}", "RELEASE SAVEPOINT #{name}", "ROLLBACK TO SAVEPOINT #{name}; RELEASE SAVEPOINT #{name}"]
    end

    # Drops an error of the rollback, so that the caller sees the first error.
    def roll_back(undo, failed)
      exec(undo)
    rescue SQLError
      raise if failed.is_a?(Rollback)
    end
  end
end

# frozen_string_literal: true

require "tasker/sequel"
require "tasker/active_record"

# The three adapters between a handler and the database, behind the same few
# methods. One Go test (TestRulesThroughEachAdapter) checks every rule with all of
# them.
module Adapters
  # @param name [String] Native, Sequel or Record
  def self.[](name)
    const_get(name)
  end

  # Called when the database is served and has its table.
  def self.prepare
    Record.prepare
    nil
  end

  def self.finish
    Record.finish
    nil
  end

  # Tasker.db.
  module Native
    module_function

    def run(sql)
      Tasker.db.exec(sql)
    end

    def bind(sql, params)
      Tasker.db.exec(sql, params)
    end

    def value(sql)
      Tasker.db.first(sql).values.first
    end

    def insert(*entries)
      Tasker.db.exec("INSERT INTO ledger (entry) VALUES #{entries.map.with_index(1) { |_, i| "($#{i})" }.join(", ")}", entries)
    end

    def add(entry)
      Tasker.db.exec("UPDATE ledger SET amount = amount + 1 WHERE entry = $1", [entry])
    end

    def transaction(&block)
      Tasker.db.transaction(&block)
    end

    def undo
      raise Tasker::DB::Rollback
    end

    def insert_and_then(entry, &block)
      insert(entry)
      Tasker.after_commit(&block)
    end

    def in_thread(&block)
      Thread.new(&block)
    end
  end

  # Tasker.sequel.
  module Sequel
    module_function

    def db
      Tasker.sequel
    end

    def run(sql)
      db.run(sql)
    end

    def bind(sql, params)
      db.execute(sql, arguments: params)
    end

    def value(sql)
      db.fetch(sql).single_value
    end

    def insert(*entries)
      db[:ledger].import([:entry], entries.map { |e| [e] })
    end

    def add(entry)
      db[:ledger].where(entry: entry).update(amount: ::Sequel[:amount] + 1)
    end

    def transaction(&block)
      db.transaction(savepoint: true, &block)
    end

    def undo
      raise ::Sequel::Rollback
    end

    def insert_and_then(entry, &block)
      db[:ledger].insert(entry: entry)
      db.after_commit(&block)
    end

    def in_thread(&block)
      Thread.new(&block)
    end
  end

  # ActiveRecord.
  module Record
    # A connection that the tests establish and remove.
    class Base < ActiveRecord::Base
      self.abstract_class = true
    end

    # A row of the ledger. It may run a block after the commit.
    class Entry < Base
      self.table_name = "ledger"
      attr_accessor :afterwards

      after_commit { afterwards&.call }
    end

    module_function

    # Newer versions have a class for a lost connection.
    def lost
      ActiveRecord.const_defined?(:ConnectionFailed) ? "ActiveRecord::ConnectionFailed" : "ActiveRecord::StatementInvalid"
    end

    def prepare
      # remove_connection waits this long for the host's threads.
      Base.establish_connection(adapter: "tasker", checkout_timeout: 0.05)
    end

    def finish
      Base.remove_connection
    end

    def run(sql)
      Base.connection.execute(sql)
    end

    def bind(sql, params)
      Base.connection.exec_query(sql, "bind", params)
    end

    def value(sql)
      Base.connection.select_value(sql)
    end

    def insert(*entries)
      Entry.insert_all!(entries.map { |e| { entry: e } })
    end

    def add(entry)
      Entry.where(entry: entry).update_all("amount = amount + 1")
    end

    def transaction(&block)
      Entry.transaction(requires_new: true, &block)
    end

    def undo
      raise ActiveRecord::Rollback
    end

    def insert_and_then(entry, &block)
      Entry.create!(entry: entry, afterwards: block)
    end

    def in_thread(&block)
      Thread.new { Base.connection_pool.with_connection(&block) }
    end
  end
end

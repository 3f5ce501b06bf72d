# frozen_string_literal: true

# The same work as the benchmark's handlers, in plain ruby with the pg gem, or
# with a library on its own adapter: THREADS connections, each with a
# transaction of COUNT updates of rows of its own. Prints the seconds from the
# moment when all were connected.
require "pg"

adapter, url, threads, count = ARGV[0], ARGV[1], Integer(ARGV[2]), Integer(ARGV[3])
host, port, user, database = PG::Connection.conninfo_parse(url).to_h { |o| [o[:keyword], o[:val]] }.values_at("host", "port", "user", "dbname")

# What runs in each thread: connected, and in a transaction.
session =
  case adapter
  when "pg"
    lambda do |&work|
      c = PG.connect(url)
      c.transaction do
        work.call(->(id) { c.exec_params("UPDATE accounts SET balance = balance + $1 WHERE id = $2", [1, id]) })
      end
    end
  when "sequel"
    require_relative "update_adapters"
    db = Sequel.connect(adapter: "postgres", host: host, port: port, user: user, database: database, max_connections: threads)
    updates = UpdateAdapters::Sequel.new(db)
    ->(&work) { db.transaction { work.call(updates.method(:update)) } }
  when "active_record"
    require_relative "update_adapters"
    UpdateAdapters::Account.establish_connection(adapter: "postgresql", host: host, port: port, username: user, database: database, pool: threads)
    updates = UpdateAdapters::ActiveRecord.new
    ->(&work) { UpdateAdapters::Account.transaction { updates.update(-1); work.call(updates.method(:update)) } }
  end

ready, go = Queue.new, Queue.new
workers = Array.new(threads) do |i|
  Thread.new do
    session.call do |update|
      ready << 1
      go.pop
      count.times { |n| update.call((i * 12_500) + (n % 12_500)) }
    end
  end
end
threads.times { ready.pop }
began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
threads.times { go << 1 }
workers.each(&:join)
puts Process.clock_gettime(Process::CLOCK_MONOTONIC) - began

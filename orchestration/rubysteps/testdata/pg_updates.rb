# frozen_string_literal: true

# The same work as the benchmark's handlers, in plain ruby with the pg gem:
# THREADS connections, each with a transaction of COUNT updates of rows of its
# own. Prints the
# seconds that it took once all were connected.
require "pg"

url, threads, count = ARGV[0], Integer(ARGV[1]), Integer(ARGV[2])
connections = Array.new(threads) { PG.connect(url) }
began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
connections.each_with_index.map do |c, i|
  Thread.new do
    c.transaction do
      count.times do |n|
        c.exec_params("UPDATE accounts SET balance = balance + $1 WHERE id = $2", [1, (i * 12_500) + (n % 12_500)])
      end
    end
  end
end.each(&:join)
puts Process.clock_gettime(Process::CLOCK_MONOTONIC) - began

# frozen_string_literal: true

module Tasker
  # Blocks that wait for a transaction's commit or rollback; see
  # {Tasker.after_commit}.
  module AfterCommit
    Blocks = Struct.new(:committed, :rolled_back)
    private_constant :Blocks

    @lock = Mutex.new
    @number = 0
    @waiting = {}

    class << self
      # @param committed [Proc, nil] to be called after the commit
      # @param rolled_back [Proc, nil] to be called after a rollback
      # @param connection [Integer] outside steps, the transaction's connection
      # @return [void]
      def add(committed: nil, rolled_back: nil, connection: DB.current.number)
        number = @lock.synchronize do
          @waiting[@number += 1] = Blocks.new(committed, rolled_back)
          @number
        end
        open = false
        begin
          open = Postgres::Channel.hook(connection, number)
        ensure
          @lock.synchronize { @waiting.delete(number) } unless open
        end
        committed&.call unless open
        nil
      end

      # Runs the blocks of transactions that have ended, in the order in which
      # they were added. When one raises, the others still run.
      #
      # @param numbers [Array<Integer>]
      # @param committed [Boolean, nil] nil when nobody knows: then no block runs
      # @raise the first error that a block raised
      # @!visibility private
      def finish(numbers, committed)
        failure = nil
        numbers.each do |number|
          blocks = @lock.synchronize { @waiting.delete(number) } or next
          next if committed.nil?

          (committed ? blocks.committed : blocks.rolled_back)&.call
        rescue StandardError => e
          failure ||= e
        end
        raise failure if failure
      end
    end
  end
end

# frozen_string_literal: true

# Keeps 500 blocks of many sizes. Each task frees one and allocates one of another size,
# so the free memory lies in pieces. After each 500 tasks all sizes are there once.
module Fragmentation
  BLOCKS = 500
  SIZES = Array.new(BLOCKS) { |i| (i % 50).zero? ? 150_000 : 64 + ((i * 7919) % 40_000) }.freeze
  @kept = Array.new(BLOCKS)
  @steps = 0
  @lock = Mutex.new

  class << self
    def exchange
      @lock.synchronize do
        round, place = @steps.divmod(BLOCKS)
        @kept[place] = "x" * SIZES[(place + (round * 131)) % BLOCKS]
        @steps += 1
      end
    end
  end

  class Work < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      Fragmentation.exchange
      { exchanged: true }
    end
  end
end

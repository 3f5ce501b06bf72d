# frozen_string_literal: true

# One of a thousand steps leaks. It is 16 bytes a step, but comes in jumps of 16 KB.
module Rare
  KEPT = []
  EVERY = 1000
  @steps = 0
  @lock = Mutex.new

  class << self
    def turn?
      @lock.synchronize { ((@steps += 1) % EVERY).zero? }
    end
  end

  class Work < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      KEPT << ("x" * 16_384) if Rare.turn? # leak
      { done: true }
    end
  end
end

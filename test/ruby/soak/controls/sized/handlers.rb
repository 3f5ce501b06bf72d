# frozen_string_literal: true

# Each n-th step leaks 1,024 bytes of malloc and a slot. The context says n, so the smallest
# leak that is found can be measured: with {"every": 16} it is 64 bytes a step.
module Sized
  KEPT = []
  TEXT = 1015 # with its end and malloc's own 8 bytes it takes 1,024
  @steps = 0
  @lock = Mutex.new

  class << self
    def turn?(every)
      @lock.synchronize { ((@steps += 1) % every).zero? }
    end
  end

  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      KEPT << ("x" * TEXT) if Sized.turn?(task.context[:every]) # leak
      { done: true }
    end
  end
end

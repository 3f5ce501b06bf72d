# frozen_string_literal: true

module ExactDiamond
  # The tip of the diamond.
  class Power < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      n = task.context[:base]**task.context[:exponent]
      { n: n, digits: n.digits.size }
    end
  end
end

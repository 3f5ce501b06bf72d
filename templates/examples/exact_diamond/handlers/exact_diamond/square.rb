# frozen_string_literal: true

module ExactDiamond
  # The right branch.
  class Square < Tasker::StepHandler::Base
    def process(_task, sequence, _step)
      n = sequence.get_results("power")["n"]
      { square: n * n }
    end
  end
end

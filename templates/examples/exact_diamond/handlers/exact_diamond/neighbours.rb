# frozen_string_literal: true

module ExactDiamond
  # The left branch. The first thing it does is to see that n has arrived whole.
  class Neighbours < Tasker::StepHandler::Base
    def process(task, sequence, _step)
      n = sequence.get_results("power")["n"]
      unless n.eql?(task.context[:base]**task.context[:exponent])
        raise Tasker::PermanentError.new("n did not arrive whole", error_code: "INEXACT", context: { n: n })
      end

      { below: n - 1, above: n + 1 }
    end
  end
end

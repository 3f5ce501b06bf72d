# frozen_string_literal: true

module ExactDiamond
  # The foot: (n - 1)(n + 1) is n squared less 1, to the last digit or not at
  # all. A Float anywhere on the way would be off by far more than 1.
  class Compare < Tasker::StepHandler::Base
    def process(_task, sequence, _step)
      neighbours = sequence.get_results("neighbours")
      square = sequence.get_results("square")["square"]
      product = neighbours["below"] * neighbours["above"]
      difference = square - product

      unless difference.eql?(1)
        raise Tasker::PermanentError.new("the branches differ by #{difference}, not by 1",
                                         error_code: "INEXACT", context: { square: square, product: product })
      end

      { product: product, digits: product.digits.size, exact: true }
    end
  end
end

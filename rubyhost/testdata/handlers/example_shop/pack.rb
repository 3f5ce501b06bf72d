# frozen_string_literal: true

module ExampleShop
  class Pack < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      { grams: Box::GRAMS + (200 * task.context[:items]) }
    end
  end
end

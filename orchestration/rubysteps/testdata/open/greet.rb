# frozen_string_literal: true

module OpenExample
  class Greet < Tasker::StepHandler::Base
    def process(task, sequence, _step)
      "#{sequence.get_results("choose")}, #{task.context[:name]}"
    end
  end
end

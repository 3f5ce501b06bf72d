# frozen_string_literal: true

module OpenExample
  class Write < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      Tasker.db.exec("insert into words values ('in a step')")
      nil
    end
  end
end

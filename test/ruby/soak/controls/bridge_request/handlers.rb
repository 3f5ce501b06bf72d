# frozen_string_literal: true

# The handler asks the host once: SQL goes through it. The program is built with the tag
# planted, and with TASKER_PLANT=request it never frees a question.
module BridgeRequest
  class Work < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      Tasker.db.first("SELECT 1 AS one")
    end
  end
end

# frozen_string_literal: true

# The handlers of the measured tasks.
module Bench
  RESULTS = { ok: true, amount: "12.50" }.freeze

  class Plain < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      RESULTS
    end
  end

  class Update < Tasker::StepHandler::Base
    def process(task, _sequence, step)
      account = ((7 * task.task_id) + step.name.delete_prefix("s").to_i) % 1000
      Tasker.db.exec("update accounts set n = n + 1 where id = $1", [account])
      RESULTS
    end
  end

  class Wait < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      sleep 0.02
      RESULTS
    end
  end

  class Reading < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      { ok: true, bytes: task.context["payload"].bytesize }
    end
  end

  class Failing < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      raise Tasker::PermanentError, "it always fails"
    end
  end
end

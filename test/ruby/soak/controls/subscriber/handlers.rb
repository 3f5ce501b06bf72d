# frozen_string_literal: true

# Each task subscribes to an event, and never ends its subscription. All of them are
# asked about each event, so a run of many thousand tasks becomes slow.
module Subscriber
  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      Tasker::Events.subscribe("order.shipped") { |event| event[:order_id] == task.task_id } # leak
      { subscribed: true }
    end
  end
end

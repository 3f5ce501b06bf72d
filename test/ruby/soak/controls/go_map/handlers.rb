# frozen_string_literal: true

# The handler does nothing: the program leaks. It is built with the tag planted, and
# TASKER_PLANT is gomap or native.
module GoMap
  class Work < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      { done: true }
    end
  end
end

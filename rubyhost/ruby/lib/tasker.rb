# frozen_string_literal: true

require "json"
require "time"

require_relative "tasker/version"
require_relative "tasker/errors"
require_relative "tasker/context"
require_relative "tasker/document"
require_relative "tasker/logging"
require_relative "tasker/events"
require_relative "tasker/constants"
require_relative "tasker/step"
require_relative "tasker/task"
require_relative "tasker/segments"
require_relative "tasker/sequence"
require_relative "tasker/step_handler/base"

# The Ruby half of tasker-rb: what step handlers see.
#
# A handler is a class with +process(task, sequence, step)+, usually below
# {StepHandler::Base}. It runs inside a Go program that keeps the tasks and
# their steps in PostgreSQL; here are only the objects that such a handler is
# given, the errors it raises, and what it may call.
#
# @example
#   class ReserveInventory < Tasker::StepHandler::Base
#     def process(task, sequence, step)
#       order = sequence.find_step_by_name("validate_order").results
#       { reservation: Warehouse.reserve(order["items"]) }
#     end
#   end
module Tasker
  autoload :Execution, "tasker/execution"
  autoload :HandlerLoader, "tasker/handler_loader"
  autoload :Testing, "tasker/testing"
end

# frozen_string_literal: true

require_relative "ext/c_global"

# An extension keeps memory of which Ruby knows nothing: ext/c_global.c.
module CGlobal
  class Work < Tasker::StepHandler::Base
    def process(_task, _sequence, _step)
      Native.keep
      { kept: true }
    end
  end
end

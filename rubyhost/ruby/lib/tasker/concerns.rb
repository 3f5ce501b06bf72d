# frozen_string_literal: true

module Tasker
  # The modules that tasker-engine's users include into classes of their own.
  module Concerns
    autoload :EventPublisher, "tasker/concerns/event_publisher"

    # The name that tasker-engine's code uses.
    StructuredLogging = Logging
  end
end

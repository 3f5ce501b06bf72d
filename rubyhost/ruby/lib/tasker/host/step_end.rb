# frozen_string_literal: true

module Tasker
  module Host
    # The work at the end of a step: unfinished lines, changed settings, children.
    # Few steps leave any, and every step asks. So there is one flag for all.
    module StepEnd
      @due = false

      class << self
        # @return [Boolean] whether any running step has left something
        attr_reader :due

        # @!visibility private
        def needed
          @due = true
        end

        # Does what this thread's step needs.
        def run
          @due = false # before the work: another step may need it meanwhile
          begin
            clear
          ensure
            Output.flush_all if Output.unfinished
            Children.report if Children.any
          end
        ensure
          @due = true if Output.unfinished || Leftovers.any || Children.any
        end

        # Puts back the settings that were changed.
        def clear
          Leftovers.clear if Leftovers.any
        end
      end
    end
  end
end

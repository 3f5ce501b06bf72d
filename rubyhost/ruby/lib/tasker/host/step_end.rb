# frozen_string_literal: true

module Tasker
  module Host
    # The work at the end of a step: unfinished lines, changed settings, children.
    # Few steps leave any, and every step asks. So there is one flag for all.
    module StepEnd
      @needed = 0 # how often some step has needed it
      @done = 0   # how much of that has been seen to

      class << self
        # @return [Boolean] whether any running step has left something
        def due
          @done != @needed
        end

        # @!visibility private
        def needed
          @needed += 1
        end

        # Does what this thread's step needs. Only when nothing is left at the end
        # is that noted: interrupts may come at any place here, one after the other,
        # and another step may need it meanwhile.
        def run
          seen = @needed
          begin
            clear
          ensure
            Output.flush_all if Output.unfinished
            Children.report if Children.any
          end
          @done = seen unless Output.unfinished || Leftovers.any || Children.any
        end

        # Puts back the settings that were changed.
        def clear
          Leftovers.clear if Leftovers.any
        end
      end
    end
  end
end

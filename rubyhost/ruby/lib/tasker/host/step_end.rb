# frozen_string_literal: true

module Tasker
  module Host
    # The work at the end of a step: unfinished lines, changed settings, children.
    # Few steps leave any, and every step asks. So there is one flag for all.
    module StepEnd
      @due = false
      @needed = 0 # how often a step has needed it

      class << self
        # @return [Boolean] whether any running step has left something
        attr_reader :due

        # @!visibility private
        def needed
          @needed += 1
          @due = true
        end

        # Does what this thread's step needs. It is due until nothing is left at the
        # end: interrupts may come at any place here, one after the other. Another
        # step may need it meanwhile. CRuby changes threads nowhere between the
        # comparison in the last line and its assignment. The first of the interrupts goes
        # on: it says where the step's own code was.
        def run
          first = $!
          seen = @needed
          begin
            clear
          ensure
            begin
              Output.flush_all if Output.unfinished
            ensure
              Children.report if Children.any
            end
          end
          return if Output.unfinished || Leftovers.any || Children.any

          @due = false if seen == @needed
        rescue Interrupt
          raise unless Interrupt === first

          raise first, cause: first.cause
        end

        # Puts back the settings that were changed.
        def clear
          Leftovers.clear if Leftovers.any
        end
      end
    end
  end
end

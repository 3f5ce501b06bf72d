# frozen_string_literal: true

require_relative "../words"

module Tasker
  module Testing
    module ExactlyOnce
      # A run with a crash, a line for each thing that happened.
      #
      # @api private
      module Timeline
        # Characters of a statement, and entries at most.
        WIDTH = 72
        MOST = 60
        private_constant :WIDTH, :MOST

        class << self
          # @param trace [Array<Hash>]
          # @return [Array<String>]
          def lines(trace)
            shown = around_crash(trace)
            width = shown.map { |entry| entry["step"].to_s.size }.max || 0
            lines = shown.map { |entry| line(entry, width) }
            left_out = trace.size - shown.size
            lines.unshift("    ... #{left_out} entries left out ...") if left_out.positive?
            lines
          end

          private

          def around_crash(trace)
            return trace if trace.size <= MOST

            crash = trace.index { |entry| entry["kind"] == "crash" } || 0
            trace[[crash - (MOST / 2), 0].max, MOST]
          end

          def line(entry, width)
            mark = entry["kind"] == "crash" ? "=> " : "   "
            return "  #{mark}#{"".ljust(width)}  the task ends" if entry["step"].to_s.empty?

            "  #{mark}#{entry["step"].to_s.ljust(width)}  attempt #{entry["attempt"]}  #{what(entry)}"
          end

          def what(entry)
            case entry["kind"]
            when "begin" then "begins"
            when "statement" then "statement #{entry["number"]}: #{short(entry["sql"])}"
            when "effect" then "#{entry["effect"]}: #{short(entry["detail"])}#{key(entry)} (#{entry["place"]})"
            when "commit" then "commits"
            when "fail" then "fails#{": #{short(entry["detail"])}" if entry["detail"]}"
            when "crash" then "THE WORKER DIES"
            else "#{entry["kind"]}s"
            end
          end

          def key(entry)
            entry["key"] ? " with key #{entry["key"]}" : ""
          end

          def short(text) = Words.short(text, WIDTH)
        end
      end
    end
  end
end

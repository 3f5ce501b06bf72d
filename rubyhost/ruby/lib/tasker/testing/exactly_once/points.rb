# frozen_string_literal: true

require_relative "../near"

module Tasker
  module Testing
    module ExactlyOnce
      # A place in a task's run at which the worker can die.
      Point = Struct.new(:step, :attempt, :at, :number, :side, keyword_init: true) do
        # @return [Boolean] whether the step's work is recorded by then
        def committed? = at == "commit" && side == "after"

        def to_s
          where = case at
                  when "begin" then "before its code"
                  when "commit" then "#{side} its commit"
                  else "#{side} statement #{number}"
                  end
          "#{step}, #{where}#{" (attempt #{attempt})" unless attempt == 1}"
        end
      end

      # The points of a run.
      #
      # @api private
      class Points
        KINDS = { begins: "begin", statements: "statement", commits: "commit" }.freeze
        # What is left out last when there are too many.
        ORDER = %w[commit begin statement].freeze
        private_constant :KINDS, :ORDER

        # @return [Array<Point>]
        attr_reader :all
        # @return [Integer] how many the cap has left out
        attr_reader :left_out

        # @param trace [Array<Hash>] of an undisturbed run
        # @param wanted [nil, Symbol, String, Array] which of them: :statements, :commits,
        #   :begins, and the names of steps
        # @param cap [Integer] how many at most
        # @raise [Error] when there is none
        def initialize(trace, wanted, cap)
          points = self.class.of(trace)
          chosen = choose(points, wanted.nil? ? [] : Array(wanted))
          @all = chosen.size > cap ? spread(chosen, cap) : chosen
          @left_out = chosen.size - @all.size
        end

        # @param trace [Array<Hash>]
        # @return [Array<Point>]
        def self.of(trace)
          trace.flat_map do |entry|
            sides = { "begin" => %w[before], "statement" => %w[before after], "commit" => %w[before after] }.fetch(entry["kind"], [])
            number = entry["number"] if entry["kind"] == "statement"
            sides.map { |side| Point.new(step: entry["step"], attempt: entry["attempt"], at: entry["kind"], number: number, side: side) }
          end
        end

        private

        def choose(points, wanted)
          kinds, steps = wanted.partition { |name| name.is_a?(Symbol) && KINDS.key?(name) }
          steps = steps.map(&:to_s)
          refuse_unknown(steps, points)
          chosen = points.select do |point|
            (kinds.empty? || kinds.any? { |kind| KINDS[kind] == point.at }) && (steps.empty? || steps.include?(point.step))
          end
          raise Error, "there is no point of crash for points: #{wanted.inspect}: the task runs no such statement" if chosen.empty?

          chosen
        end

        def refuse_unknown(steps, points)
          names = points.map(&:step).uniq
          unknown = steps.find { |step| !names.include?(step) } or return

          raise Error, "points: names #{unknown}, but no such step has run#{Near.hint(unknown, names)}; :begins, :statements and :commits are kinds"
        end

        # The commits first, and then the others evenly.
        def spread(points, cap)
          kept = []
          ORDER.each do |kind|
            of_kind = points.select { |point| point.at == kind }
            room = [cap - kept.size, of_kind.size].min
            kept.concat(Array.new(room) { |i| of_kind[i * of_kind.size / room] })
          end
          points.select { |point| kept.include?(point) }
        end
      end
    end
  end
end

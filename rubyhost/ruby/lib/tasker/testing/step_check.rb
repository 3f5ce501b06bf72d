# frozen_string_literal: true

require_relative "checks"

module Tasker
  module Testing
    # What a step of a task is expected to be. Nothing is expected until it is said.
    #
    # @api private
    class StepCheck
      # @param name [String, Symbol]
      # @yield [expected, actual] compares results; by === without a block
      def initialize(name, &matches)
        @name = name.to_s
        @matches = matches || ->(expected, actual) { Checks.matches?(expected, actual) }
        @wishes = []
      end

      # @return [self]
      def status(expected)
        wish("status #{expected}", ->(step) { "it is #{step.status}#{" with #{step.error}" if step.error}" }) { |step| step.status == expected.to_s }
      end

      # @return [self]
      def results(expected)
        words = expected.respond_to?(:description) ? expected.description : expected.inspect
        wish("results #{words}", ->(step) { "they are #{Checks.short(step.results.inspect)}#{" (it is #{step.status})" unless step.complete?}" }) do |step|
          @matches.call(expected, step.results)
        end
      end

      # @param names [Array<String, Symbol>] of steps
      # @return [self]
      def after(*names)
        names.flatten.each do |name|
          wish("beginning after #{name}", ->(step) { "#{times(step)}, #{times(step.task.step(name))}" }) { |step| after?(step, step.task.step(name)) }
        end
        self
      end

      # @return [self]
      def attempts(expected)
        wish("#{expected} #{expected == 1 ? "attempt" : "attempts"}", ->(step) { "there #{step.attempts == 1 ? "was" : "were"} #{step.attempts}" }) do |step|
          step.attempts == expected
        end
      end

      # @param task [Task]
      # @return [String, nil] why it does not hold
      def failure(task)
        return "expected the task #{task.name} to have a step #{@name}, but it has none#{Near.hint(@name, task.steps.map(&:name))}" unless task.step?(@name)

        step = task.step(@name)
        failed = @wishes.find { |_, _, holds| !holds.call(step) }
        "expected the step #{@name} to have #{failed.first}, but #{failed[1].call(step)}" if failed
      end

      # @return [String]
      def to_s
        ["have step #{@name}", *@wishes.map(&:first)].join(" with ")
      end

      private

      def wish(words, had, &holds)
        @wishes << [words, had, holds]
        self
      end

      def after?(step, other)
        step.started_at && other.completed_at && step.started_at >= other.completed_at ? true : false
      end

      def times(step)
        "#{step.name} began at #{step.started_at&.iso8601(3) || "no time"} and was complete at #{step.completed_at&.iso8601(3) || "no time"}"
      end
    end
  end
end

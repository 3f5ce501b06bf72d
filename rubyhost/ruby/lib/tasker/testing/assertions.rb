# frozen_string_literal: true

require_relative "step_check"

module Tasker
  module Testing
    # The assertions for minitest. Every test has them.
    module Assertions
      # @param value [Task, Step]
      # @return [true]
      # @example
      #   assert_complete run_task("order", context: { id: 7 })
      def assert_complete(value)
        tasker_assert Checks.complete(value)
      end

      # @param task [Task]
      # @param name [String, Symbol] of a step
      # @param results [Object] all of them, or what === tells; of a Hash these keys, and
      #   there may be others
      # @param status [String, Symbol, nil]
      # @param after [String, Symbol, Array, nil] steps that were complete when it began
      # @param attempts [Integer, nil]
      # @return [true]
      # @example
      #   assert_step task, "charge", results: { cents: 500 }, after: "reserve", attempts: 2
      def assert_step(task, name, results: nil, status: nil, after: nil, attempts: nil)
        check = StepCheck.new(name) do |expected, actual|
          expected.is_a?(Hash) && actual.is_a?(Hash) ? Checks.includes?(actual, expected) : Checks.matches?(expected, actual)
        end
        check.status(status) if status
        check.results(results) unless results.nil?
        check.after(*after) if after
        check.attempts(attempts) if attempts
        tasker_assert check.failure(task)
      end

      # @param value [Task, Step]
      # @param error [Class, String, nil] of the exception of a step that has ended in
      #   error, or a class above it
      # @param code [String, nil] its error_code
      # @param message [String, Regexp, nil]
      # @return [true]
      # @example
      #   assert_failed_with task, Gateway::Declined, code: "CARD_DECLINED"
      def assert_failed_with(value, error = nil, code: nil, message: nil)
        tasker_assert Checks.failed_with(value, error, code: code, message: message)
      end

      # @param rows [String, Object] SQL that returns rows, a dataset of Sequel, or a
      #   relation of ActiveRecord
      # @param count [Integer, nil] how many rows; at least one when nil
      # @return [true]
      # @example
      #   assert_committed "SELECT 1 FROM charges WHERE order_id = 7", 1
      def assert_committed(rows, count = nil)
        tasker_assert Checks.committed(rows, count)
      end

      # @param task [Task]
      # @param name [String, Symbol] of an event of {Tasker::Events}
      # @param payload [Hash] facts that the event has, among others
      # @return [true]
      # @example
      #   assert_published task, "payment.charged", cents: 500
      def assert_published(task, name, **payload)
        tasker_assert Checks.published(task, name, payload)
      end

      private

      def tasker_assert(failure)
        assert failure.nil?, failure
      end
    end
  end
end

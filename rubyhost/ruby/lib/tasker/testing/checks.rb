# frozen_string_literal: true

require_relative "task"

module Tasker
  module Testing
    # What the matchers of RSpec and the assertions of minitest both check. A check
    # returns nil, or why it does not hold.
    #
    # @api private
    module Checks
      # Characters of results that a message shows at most.
      SHOWN = 2000
      private_constant :SHOWN

      class << self
        # @param text [String]
        # @return [String]
        def short(text)
          text.size > SHOWN ? "#{text[0, SHOWN]}… (#{text.size} characters)" : text
        end

        # @param value [Task, Step, #complete?]
        # @return [String, nil]
        def complete(value)
          return if value.complete?

          "expected #{subject(value)} to be complete, but #{states(value)}"
        end

        # @param expected [Class, String, nil] of the error
        # @param code [String, nil]
        # @param message [String, Regexp, nil]
        # @return [String, nil]
        def failed_with(value, expected, code: nil, message: nil)
          failures = failures(value)
          return if failures.any? { |_, failure| failure_matches?(failure, expected, code, message) }

          wish = [expected, ("code #{code}" if code), ("message #{message.inspect}" if message)].compact.join(", ")
          had = failures.map { |step, failure| "#{step.name} failed with #{failure}" }
          "expected #{subject(value)} to have failed#{" with #{wish}" unless wish.empty?}, but #{had.empty? ? "no step has failed; #{states(value)}" : had.join("; ")}"
        end

        # @param rows [String, #to_a, #count] SQL, a dataset or a relation
        # @param count [Integer, nil] at least one when nil
        # @return [String, nil]
        def committed(rows, count = nil)
          found = count(rows)
          return if count ? found == count : found.positive?

          "expected #{count || "a"} committed #{count.nil? || count == 1 ? "row" : "rows"}, but there #{found == 1 ? "is 1" : "are #{found}"}: #{words(rows)}"
        end

        # @param payload [Hash] facts that the event has to have
        # @return [String, nil]
        def published(task, name, payload = {}, &matches)
          name = Events.canonical_name(name)
          named = task.published.select { |event| event.name == name }
          return if named.any? { |event| includes?(event.payload, payload, &matches) }
          return "expected #{name} to have been published with #{payload}, but it was with #{named.map { |event| facts(event) }.join("; ")}" if named.any?

          names = task.published.map(&:name).uniq
          "expected #{name} to have been published, but #{names.empty? ? "nothing was" : "only these were: #{names.join(", ")}"}"
        end

        # @return [Boolean] whether the Hash has these pairs, by ===
        def includes?(actual, expected)
          expected.all? do |key, value|
            own = [key, key.to_s, key.to_s.to_sym].find { |name| actual.key?(name) }
            !own.nil? && (block_given? ? yield(value, actual[own]) : matches?(value, actual[own]))
          end
        end

        # @return [Boolean]
        def matches?(expected, actual)
          return includes?(actual, expected) && actual.size == expected.size if expected.is_a?(Hash) && actual.is_a?(Hash)

          expected === actual || expected == actual # rubocop:disable Style/CaseEquality
        end

        # @return [String]
        def subject(value)
          value.is_a?(Step) ? "the step #{value.name}" : "the task #{value.respond_to?(:name) ? value.name : value.inspect}"
        end

        private

        def states(value)
          case value
          when Task then "it is #{value.status}: #{value.steps.map { |step| words_of_step(step) }.join(", ")}"
          when Step then "it is #{words_of_step(value)}"
          else "it is not: #{value.inspect}"
          end
        end

        def words_of_step(step)
          "#{step.name} #{step.status}#{" with #{step.error}" if step.error && !step.complete?}"
        end

        def failures(value)
          (value.is_a?(Step) ? [value] : value.steps).filter_map { |step| [step, step.error] if step.error && step.status == "error" }
        end

        def failure_matches?(failure, expected, code, message)
          (expected.nil? || failure.of?(expected)) && (code.nil? || failure.error_code == code.to_s) &&
            (message.nil? || message === failure.message) # rubocop:disable Style/CaseEquality
        end

        def count(rows)
          case rows
          when String then Tasker.db.exec(rows).size
          when Array then rows.size
          else rows.respond_to?(:count) ? rows.count : rows.to_a.size
          end
        end

        def words(rows)
          return rows if rows.is_a?(String)

          rows.respond_to?(:sql) ? rows.sql : rows.inspect
        end

        def facts(event)
          event.payload.reject { |key, _| key == :timestamp }.inspect
        end
      end
    end
  end
end

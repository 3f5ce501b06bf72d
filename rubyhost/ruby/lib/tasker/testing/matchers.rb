# frozen_string_literal: true

require "rspec/support"
require "rspec/support/fuzzy_matcher"
begin
  require "rspec/matchers"
rescue LoadError
  nil # the suite uses other assertions
end
require_relative "step_check"

module Tasker
  module Testing
    # The matchers for RSpec. Every example group has them.
    #
    # @example
    #   expect(task).to be_complete
    #   expect(task).to have_step("charge").with_results(hash_including("cents" => 500)).after("reserve").in(2).attempts
    #   expect(task).to have_failed_with(Gateway::Declined, code: "CARD_DECLINED")
    #   expect(task).to have_committed("SELECT 1 FROM charges", 1)
    #   expect(task).to have_published("payment.charged").with(cents: 500)
    module Matchers
      # A matcher whose check says why it does not hold. RSpec calls its methods.
      class Matcher
        include ::RSpec::Matchers::Composable if defined?(::RSpec::Matchers::Composable)

        # @return [String]
        attr_reader :failure_message, :description

        # @yieldparam actual [Object]
        # @yieldreturn [String, nil] why not
        # @api private
        def initialize(description, &check)
          @description = description
          @check = check
        end

        # @return [Boolean]
        def matches?(actual)
          @actual = actual
          @failure_message = @check.call(actual)
          @failure_message.nil?
        end

        # @return [String]
        def failure_message_when_negated
          "expected #{@actual.respond_to?(:name) ? Checks.subject(@actual) : @actual.inspect} not to #{description}"
        end
      end

      # The matcher of {Matchers#have_step}.
      class HaveStep < Matcher
        # @api private
        def initialize(name)
          @step = StepCheck.new(name) { |expected, actual| ::RSpec::Support::FuzzyMatcher.values_match?(expected, actual) }
          super(nil) { |task| @step.failure(task) }
        end

        # @param expected [Object] the results, or a matcher such as hash_including
        # @return [self]
        def with_results(expected)
          with { @step.results(expected) }
        end

        # @param status [String, Symbol]
        # @return [self]
        def with_status(status)
          with { @step.status(status) }
        end

        # @param names [Array<String, Symbol>] of steps that were complete when it began
        # @return [self]
        def after(*names)
          with { @step.after(*names) }
        end

        # @param count [Integer]
        # @return [self] to be followed by +attempts+
        def in(count)
          with { @step.attempts(count) }
        end

        # @return [self] for the sake of English, after {#in}
        def attempts = self
        alias attempt attempts

        def description = @step.to_s

        private

        def with
          yield
          self
        end
      end

      # The matcher of {Matchers#have_published}.
      class HavePublished < Matcher
        # @api private
        def initialize(name)
          @payload = {}
          super("have published #{name}") do |task|
            Checks.published(task, name, @payload) { |expected, actual| ::RSpec::Support::FuzzyMatcher.values_match?(expected, actual) }
          end
        end

        # @param payload [Hash] facts that the event has, among others
        # @return [self]
        def with(payload)
          @payload = payload
          self
        end
      end

      # The matcher of {Matchers#be_exactly_once}.
      class BeExactlyOnce < Matcher
        # @api private
        def initialize
          super("be there exactly once, wherever the worker dies") { |snapshot| failure(snapshot) }
        end

        # @param template [String] as for {API#run_task}
        # @param options [Hash] as for {API#assert_exactly_once}
        # @return [self]
        def for(template, **options)
          @template = template
          @options = options
          self
        end

        def supports_block_expectations? = true
        def supports_value_expectations? = false

        # @raise [ArgumentError] always: that a crash does harm shows nothing
        def does_not_match?(_)
          raise ArgumentError, "be_exactly_once cannot be negated"
        end

        private

        def failure(snapshot)
          raise ArgumentError, "be_exactly_once needs the task: be_exactly_once.for(\"order\", context: {})" unless @template

          defaults = { context: {}, points: nil, cap: 200, allow: [], stubs: {} }
          ExactlyOnce.check(@template, **defaults, **@options, &snapshot)
          nil
        rescue ExactlyOnce::Failed => e
          e.message
        end
      end

      # @return [Matcher] for tasks, steps, and all that has +complete?+
      def be_complete
        Matcher.new("be complete") { |actual| Checks.complete(actual) }
      end

      # @param name [String, Symbol]
      # @return [HaveStep]
      def have_step(name)
        HaveStep.new(name)
      end

      # @param error [Class, String, nil] of the exception of a step that has ended in
      #   error, or a class above it
      # @param code [String, nil] its error_code
      # @param message [String, Regexp, nil]
      # @return [Matcher]
      def have_failed_with(error = nil, code: nil, message: nil)
        Matcher.new("have failed with #{error || code || message}") { |actual| Checks.failed_with(actual, error, code: code, message: message) }
      end

      # @param rows [String, Object] SQL that returns rows, a dataset of Sequel, or a
      #   relation of ActiveRecord
      # @param count [Integer, nil] how many rows; at least one when nil
      # @return [Matcher]
      def have_committed(rows, count = nil)
        Matcher.new("have committed #{rows.is_a?(String) ? rows : "rows"}") { |_| Checks.committed(rows, count) }
      end

      # {API#assert_exactly_once} as a matcher for the block that returns the rows.
      #
      # @return [BeExactlyOnce] to be followed by +for+
      # @example
      #   expect { DB[:charges].all }.to be_exactly_once.for("order", context: { id: 7 })
      def be_exactly_once
        BeExactlyOnce.new
      end

      # @param name [String, Symbol] of an event of {Tasker::Events}
      # @return [HavePublished]
      def have_published(name)
        HavePublished.new(name)
      end
    end
  end
end

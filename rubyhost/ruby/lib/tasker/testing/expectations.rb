# frozen_string_literal: true

module Tasker
  module Testing
    # Knows the exceptions by which the frameworks say that an expectation failed.
    #
    # @api private
    module Expectations
      # By name, because the libraries need not be there, or may be loaded later.
      NAMES = %w[
        RSpec::Expectations::ExpectationNotMetError RSpec::Mocks::MockExpectationError
        RSpec::Core::Pending::SkipDeclaredInExample Minitest::Assertion MockExpectationError Mocha::ExpectationError
      ].freeze
      # A mock of minitest's also raises these, from its own file.
      OF_A_MOCK = [NoMethodError, ArgumentError].freeze
      MOCK_FILE = %r{/minitest/mock\.rb\z}.freeze
      # The error code of a step that has ended so.
      CODE = "EXPECTATION_FAILED"
      private_constant :NAMES, :OF_A_MOCK, :MOCK_FILE

      class << self
        # @param exception [Exception]
        # @return [Boolean]
        def failure?(exception)
          classes.any? { |klass| klass === exception } || of_a_mock?(exception) # rubocop:disable Style/CaseEquality
        end

        # RSpec's skip marks the example only on the example's own thread. To be called
        # there, when a handler has skipped.
        #
        # @return [nil]
        def mark_skipped(failure)
          return unless defined?(::RSpec::Core::Pending::SkipDeclaredInExample) && failure.is_a?(::RSpec::Core::Pending::SkipDeclaredInExample)

          ::RSpec::Core::Pending.mark_skipped!(::RSpec.current_example, failure.argument) if ::RSpec.current_example
          nil
        end

        private

        def classes
          NAMES.filter_map { |name| Object.const_get(name) if Object.const_defined?(name) }
        end

        def of_a_mock?(exception)
          OF_A_MOCK.any? { |klass| klass === exception } && # rubocop:disable Style/CaseEquality
            MOCK_FILE.match?(exception.backtrace_locations&.first&.path.to_s)
        end
      end
    end
  end
end

# frozen_string_literal: true

require_relative "assertions"
require_relative "report"

module Tasker
  module Testing
    # Begins and ends a test of minitest's, around its setup and teardown.
    #
    # @api private
    module Minitest
      # Included in Minitest::Test.
      module Hooks
        def before_setup
          Example.begin("#{self.class}##{name}", Minitest.place(self))
          super
        end

        def after_teardown
          super
        ensure
          Minitest.finish(self)
        end
      end

      # Added to a failure: the report follows its message.
      module WithReport
        # @return [Array<String>]
        attr_accessor :tasker_report

        def message
          [super, *tasker_report].join("\n")
        end
      end

      class << self
        # @return [nil]
        def install
          ::Minitest::Test.include(API, Assertions, Hooks)
          nil
        end

        # @!visibility private
        def place(test)
          test.method(test.name).source_location.to_a.join(":")
        end

        # @!visibility private
        def finish(test)
          ours = Example.current or return
          report(test, Report.lines(ours))
          Example.end
        rescue Error => e
          raise if test.failures.empty?

          report(test, e.message.lines(chomp: true))
        ensure
          ours&.warnings&.each { |warning| warn "#{warning} (#{ours.place})" }
        end

        private

        def report(test, lines)
          failure = test.failures.reject { |f| f.is_a?(::Minitest::Skip) }.last
          return if failure.nil? || lines.empty?

          failure.extend(WithReport)
          failure.tasker_report = [*failure.tasker_report, *lines]
        end
      end
    end
  end
end

Tasker::Testing::Minitest.install

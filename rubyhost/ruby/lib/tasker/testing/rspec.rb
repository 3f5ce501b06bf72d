# frozen_string_literal: true

require_relative "matchers"
require_relative "report"

module Tasker
  module Testing
    # Begins and ends an example of RSpec's, around all its other hooks.
    #
    # @api private
    module RSpec
      class << self
        # @return [nil]
        def install
          ::RSpec.configure do |config|
            config.include(API)
            config.include(Matchers)
            config.backtrace_exclusion_patterns << /\A#{Regexp.escape(File.expand_path("../..", __dir__))}/
            config.around { |procsy| RSpec.around(procsy) }
          end
          nil
        end

        # @!visibility private
        def around(procsy)
          example = procsy.example
          return procsy.run unless Example.begin(example.full_description, place(example))

          begin
            procsy.run
          ensure
            finish(example)
          end
        end

        private

        def place(example)
          "#{File.expand_path(example.metadata[:absolute_file_path] || example.file_path)}:#{example.metadata[:line_number]}"
        end

        def finish(example)
          ours = Example.current
          report(example, ours) if example.exception
          Example.end
        rescue Error => e
          raise unless example.exception

          lines(example).concat(e.message.lines(chomp: true))
        ensure
          ours.warnings.each { |warning| ::RSpec.configuration.reporter.message("#{warning} (#{example.location})") }
        end

        def report(example, ours)
          lines(example).concat(Report.lines(ours))
        end

        def lines(example)
          example.metadata[:extra_failure_lines] = Array(example.metadata[:extra_failure_lines])
        end
      end
    end
  end
end

Tasker::Testing::RSpec.install

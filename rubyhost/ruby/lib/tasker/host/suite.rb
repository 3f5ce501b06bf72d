# frozen_string_literal: true

require_relative "script"
require_relative "late_handlers"

module Tasker
  module Host
    # Runs a suite of RSpec or minitest inside the host, as the framework's own command
    # would. A process can do this once.
    module Suite
      # The libraries of the frameworks, by what the command calls them.
      LIBRARIES = { "rspec" => "rspec/core", "minitest" => "minitest" }.freeze
      private_constant :LIBRARIES

      class << self
        # Loads the framework, so that the command can do other things meanwhile.
        #
        # @param framework [String] "rspec" or "minitest"
        # @return [Boolean] whether it is installed
        def prepare(framework)
          library = LIBRARIES.fetch(framework)
          require library
          require_relative "suite/#{framework}"
          @runner = framework == "rspec" ? RSpecRunner.new : MinitestRunner.new
          true
        rescue LoadError => e
          raise unless e.path == library

          false
        end

        # The process has the database under test in its environment, for connections of
        # the suite's own.
        #
        # @param environment [Hash{String => String, nil}] to set
        # @return [nil]
        def environment(environment)
          ENV.update(environment)
          nil
        end

        # @param dirs [Array<String>] the folders of the handlers
        # @return [nil]
        def postpone(dirs)
          LateHandlers.postpone(dirs)
        end

        # @param paths [Array<String>] files and folders; of minitest files only
        # @param options [Array<String>] of the framework
        # @param summary [String, nil] the file for the numbers of examples, as JSON
        # @param part [Boolean] whether other processes run the rest of the suite
        # @return [Integer] the exit status
        def run(paths, options, summary, part)
          @part = part
          @thread = Thread.current
          @interrupted ? 130 : @runner.run(paths, options)
        ensure
          File.write(summary, RubyVersions.generate_json(@runner.summary)) if summary
        end

        # To be called when the files of the suite are loaded, before the first example.
        #
        # @return [nil]
        def begin_examples
          LateHandlers.load
          EngineEvents.warn_of_unheard if defined?(EngineEvents)
          return unless @part && defined?(::SimpleCov.command_name)

          # SimpleCov merges what runs of different names have covered, and replaces that of
          # an earlier run of the same name.
          ::SimpleCov.command_name("#{::SimpleCov.command_name}, part #{ENV.fetch("TEST_ENV_NUMBER", "")}")
          nil
        end

        # What ^C does to the framework.
        #
        # @return [nil]
        def interrupt
          @interrupted = true
          @runner.interrupt(@thread) if @thread
          nil
        end
      end
    end
  end
end

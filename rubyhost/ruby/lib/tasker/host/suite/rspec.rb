# frozen_string_literal: true

module Tasker
  module Host
    module Suite
      # RSpec, as the command rspec runs it.
      class RSpecRunner
        # Prepended to the runner's class: the signals belong to the host, which calls
        # {#interrupt}.
        module NoTrap
          def trap_interrupt; end
        end

        # @param paths [Array<String>] files, places in files, and folders
        # @param options [Array<String>]
        # @return [Integer] the exit status
        def run(paths, options)
          runner = ::RSpec::Core::Runner
          runner.singleton_class.prepend(NoTrap)
          runner.disable_autorun!
          ::RSpec.configure do |config|
            config.before(:suite) { Suite.begin_examples }
            config.backtrace_exclusion_patterns << /\A#{Regexp.escape(File.expand_path("..", __dir__))}/
          end
          Script.within("rspec", options + paths) { runner.invoke }
        end

        # It ends after the example that runs, with a summary.
        def interrupt(_thread)
          return if ::RSpec.world.wants_to_quit

          ::RSpec.world.wants_to_quit = true
          $stderr.puts "\nRSpec is shutting down and will print the summary report... Interrupt again to force quit."
        end

        # @return [Hash{String => Integer}]
        def summary
          states = ::RSpec.world.all_examples.filter_map { |example| example.execution_result.status }
          { "examples" => states.size, "failures" => states.count(:failed), "pending" => states.count(:pending) }
        end
      end
    end
  end
end

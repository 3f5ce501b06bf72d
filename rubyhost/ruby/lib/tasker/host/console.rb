# frozen_string_literal: true

require_relative "script"
require_relative "console/commands"
require_relative "console/reload"

module Tasker
  module Host
    # irb inside the host.
    #
    # @api private
    module Console
      NAME = "tasker-rb's console"

      # The lines of gems and of Ruby's own library, as in the errors of a run.
      LIBRARY = %r{/gems/[^/]+/|/lib/ruby/\d|/lib/ruby/(?:vendor_ruby|site_ruby)/|/rubygems-integration/|/share/ruby/}
      private_constant :LIBRARY

      class << self
        # Loads irb, with what that needs. Newer Rubies have both as gems.
        #
        # @raise [LoadError]
        # @return [nil]
        def prepare
          %w[reline irb].each { |feature| RubyVersions.library(feature) }
          nil
        end

        # @param options [Hash{String => Object}] +prompt+; +terminal+, whether a person is
        #   there; +history+, a file; +version+, the program's
        # @return [Integer] the exit code
        def run(options)
          Conduct.terminal&.what = "the console"
          Script.within("tasker-rb console", []) do
            prepare_main
            configure(options)
            puts greeting(options["version"]) if options["terminal"]
            catch(NAME) do
              Conduct.terminal&.ending = -> { throw NAME }
              IRB::Irb.new(workspace).run(IRB.conf)
            end
          end
        end

        # @return [Sequel::Database, DB]
        def database
          Tasker.sequel
        rescue LoadError
          Tasker.db
        end

        private

        def greeting(version)
          "Ruby #{RUBY_VERSION}, tasker-rb #{version}: DB, task(42), run_step(Handler, context: {}, results: {}), reload!; ^D ends"
        end

        def prepare_main
          TOPLEVEL_BINDING.receiver.extend(Commands)
          Reload.remember
          Object.autoload(:DB, "tasker/host/console/db") unless Object.const_defined?(:DB)
        end

        # A person's own .irbrc counts, but not for the prompt: it says which database
        # this is.
        def configure(options)
          IRB.setup(nil, argv: options["terminal"] ? [] : ["-f"])
          IRB.conf[:PROMPT][:TASKER_RB] = options["terminal"] ? prompts(options["prompt"]) : no_prompts
          IRB.conf[:PROMPT_MODE] = :TASKER_RB
          IRB.conf[:IRB_NAME] = "console"
          if options["terminal"]
            IRB.conf[:SAVE_HISTORY] = options["history"].empty? ? nil : IRB.conf[:SAVE_HISTORY] || 1000
            IRB.conf[:HISTORY_FILE] = options["history"]
          else
            IRB.conf.update(USE_COLORIZE: false, USE_MULTILINE: false, USE_SINGLELINE: false, USE_PAGER: false, VERBOSE: false, AUTO_INDENT: false, SAVE_HISTORY: nil)
          end
        end

        # Backtraces have what a person has written, and not the library beneath it. Since
        # Ruby 3.3 irb's own loop is a line, too. Older ones give the lines as they print them.
        def workspace
          ours = Regexp.escape(File.expand_path("../..", __dir__))
          beneath = %r{\A(?:\tfrom )?(?:<internal:|#{ours}/)}
          IRB::WorkSpace.new(TOPLEVEL_BINDING).tap do |space|
            space.define_singleton_method(:filter_backtrace) { |line| beneath.match?(line) || LIBRARY.match?(line) ? nil : super(line) }
          end
        end

        def prompts(name)
          name = name.gsub("%", "%%")
          { AUTO_INDENT: true, PROMPT_I: "#{name}> ", PROMPT_N: "#{name}> ", PROMPT_S: "#{name}%l ", PROMPT_C: "#{name}* ", RETURN: "=> %s\n" }
        end

        def no_prompts
          { PROMPT_I: nil, PROMPT_N: nil, PROMPT_S: nil, PROMPT_C: nil, RETURN: "=> %s\n" }
        end
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module Host
    # Runs a Ruby program inside the host, as `ruby FILE ARG...` would: with its
    # own ARGV, $0, at_exit blocks and exit status. A process can do this once.
    module Script
      # Prepended to Kernel: a program's at_exit blocks run when the program ends,
      # and the host still works then.
      module AtExit
        def at_exit(&block)
          raise ArgumentError, "called without block" unless block

          Script.blocks << block
          block
        end
        private :at_exit
      end

      @blocks = []

      class << self
        # @return [Array<Proc>] the at_exit blocks; the last is called first
        attr_reader :blocks

        # @param path [String, nil] of a file; nil for code
        # @param code [String, nil]
        # @param arguments [Array<String>]
        # @return [Integer] the exit status
        def run(path, code, arguments)
          path &&= File.expand_path(path)
          $0 = path || "-e"
          ARGV.replace(arguments)
          Kernel.prepend(AtExit)
          Kernel.singleton_class.prepend(AtExit)
          finish(attempt(0) { path ? load(path) : eval(code, TOPLEVEL_BINDING, "-e", 1) }) # rubocop:disable Security/Eval
        end

        private

        # Calls the at_exit blocks. They find in $! the exception that ended the
        # program, and may exit with another status.
        def finish(status)
          while (block = @blocks.pop)
            status = attempt(status) { beside(@ending, &block) }
          end
          flush
          raise @ending if @ending.is_a?(Interrupt)

          status
        end

        def beside(error)
          return yield unless error

          begin
            raise error
          rescue Exception # rubocop:disable Lint/RescueException
            yield
          end
        end

        # Calls the block, and keeps its exception for the next block.
        def attempt(status)
          yield
          status
        rescue SystemExit => e
          @ending = e
          e.status
        rescue Interrupt => e
          @ending = e
          130
        rescue Exception => e # rubocop:disable Lint/RescueException
          @ending = e
          complain(e)
          1
        end

        # Prints as Ruby does, without the host's own places.
        def complain(error)
          own = error.backtrace.to_a.take_while { |place| !place.start_with?(__dir__) }
          return $stderr.puts("#{error.message.chomp} (#{error.class})") if own.empty?

          error.set_backtrace(own)
          $stderr.write(error.full_message(highlight: $stderr.tty?, order: :top))
        end

        def flush
          [$stdout, $stderr].each(&:flush)
        rescue StandardError
          nil # standard error is closed
        end
      end
    end
  end
end

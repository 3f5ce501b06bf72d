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

      # The folder of this library.
      OURS = "#{File.expand_path("../..", __dir__)}/"
      private_constant :OURS

      @blocks = []

      class << self
        # @return [Array<Proc>] the at_exit blocks; the last is called first
        attr_reader :blocks

        # @param path [String, nil] of a file; - for standard input; nil for code
        # @param code [String, nil]
        # @param arguments [Array<String>]
        # @return [Integer] the exit status
        def run(path, code, arguments)
          Conduct.terminal&.what = "the program"
          within(path || "-e", arguments) do
            next program(path).eval unless path.nil? || path == "-"

            eval(path ? typed : code, TOPLEVEL_BINDING, path || "-e", 1) # rubocop:disable Security/Eval
          end
        end

        # Runs a block as a program.
        #
        # @param name [String] of the program, for $0
        # @param arguments [Array<String>]
        # @return [Integer] the exit status
        def within(name, arguments, &block)
          $0 = name
          ARGV.replace(arguments)
          Kernel.prepend(AtExit)
          Kernel.singleton_class.prepend(AtExit)
          finish(attempt(0, &block))
        end

        private

        # As Ruby reads its program: backtraces name the file as it was given, and its
        # frame <main>.
        def program(path)
          RubyVM::InstructionSequence.compile_file(path)
        end

        # What follows __END__ is the program's own to read, as DATA too.
        #
        # @return [String] the program on standard input, in UTF-8 unless it says otherwise
        def typed
          encodings = [STDIN.external_encoding, STDIN.internal_encoding]
          STDIN.set_encoding(Encoding::BINARY)
          code = "".b
          while (line = STDIN.gets)
            break Object.const_set(:DATA, STDIN) if line.chomp == "__END__" && ends?(code)

            code << line
          end
          STDIN.set_encoding(*encodings)
          code.force_encoding(Encoding::UTF_8).delete_prefix("\u{FEFF}")
        end

        # @return [Boolean] whether a line __END__ after the code ends the program, and is not
        #   in a text or a comment of several lines
        def ends?(code)
          require "ripper"
          Ripper.lex("#{code}__END__\n".dup.force_encoding(Encoding::UTF_8)).last&.at(1) == :on___end__
        end

        # Calls the at_exit blocks. They find in $! the exception that ended the
        # program, and may exit with another status. The program's own exception is
        # printed after those of the blocks.
        def finish(status)
          failed = @ending unless @ending.is_a?(SystemExit) || @ending.is_a?(Interrupt)
          while (block = @blocks.pop)
            status = attempt(status) { beside(@ending, &block) }
            complain(@ending) if @raised
          end
          complain(failed) if failed
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
          @raised = false
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
          @raised = true
          1
        end

        # Prints as Ruby does, without the places in the host and in this library.
        def complain(error)
          strip(error)
          $stderr.write(error.backtrace.to_a.empty? ? RubyVersions.message_alone(error, $stderr.tty?) : error.full_message(highlight: $stderr.tty?, order: :top))
        end

        def strip(error, seen = {}.compare_by_identity)
          return if error.nil? || seen[error]

          seen[error] = true
          places = error.backtrace.to_a
          own = places.take_while { |place| !place.start_with?(__dir__) }.reject { |place| place.start_with?(OURS) }
          error.set_backtrace(own) if own.size < places.size
          strip(error.cause, seen)
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

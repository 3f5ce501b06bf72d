# frozen_string_literal: true

module Tasker
  module Host
    # A person is at the process's terminal, and Ruby code may read it: irb, a debugger,
    # any editor of lines. These trap signals at each prompt. Only INT means something to
    # them that the host cannot do by itself: ^C ends the line, and not the program. So a
    # trap of INT is kept, and called for the ^C that Go has got. Those of the terminal's
    # other signals are refused without a word: its size is asked for again at the next
    # prompt, and ^Z stops the process as ever.
    module Terminal
      NAME = "tasker-rb's terminal"
      SIGNALS = %w[INT WINCH TSTP CONT TTIN TTOU].freeze
      UNTRAPPED = ["DEFAULT", "SIG_DFL", "SYSTEM_DEFAULT", "EXIT"].freeze
      private_constant :NAME, :SIGNALS, :UNTRAPPED

      # Prepended to Binding.
      module ForBinding
        def irb(*, **)
          Terminal.prompt { super }
        end
      end

      # Prepended to the gem debug's console. Its own method raises SystemExit in the main
      # thread, which is the host's.
      module ForDebugger
        def quit(*, **)
          Terminal.quit_debugger
        end
      end

      # What the gem debug takes for Interrupt in the thread at a breakpoint: it prints
      # any other exception that ends that thread, with all frames.
      Ends = Module.new { def self.===(error) = [::Interrupt, Interrupt].any? { |ends| ends === error } } # rubocop:disable Style/CaseEquality

      @trap = "DEFAULT"
      @over = false
      @what = "the run"
      @owners = ObjectSpace::WeakMap.new # a trap is set again when the one inside it ends

      class << self
        # @return [String] what the process does, for the person at a prompt who may end it
        attr_writer :what

        # @return [Proc] ends the process by itself, with exit code 0. It is called on the thread
        #   of the prompt, and returns, or raises UncaughtThrowError, where it cannot.
        attr_writer :ending

        # @param signal [String]
        # @return [Boolean] whether it is one of a terminal
        def concerns?(signal) = SIGNALS.include?(signal)

        # @param signal [String]
        # @param command [Array] what Signal.trap was called with
        # @param block [Proc, nil]
        # @return [Object] the trap before, as of Signal.trap
        def trap(signal, command, block)
          return "DEFAULT" unless signal == "INT"
          raise ArgumentError, "tried to create Proc object without a block" if command.empty? && !block

          stand_aside
          before = @trap
          @trap = wanted(command.empty? ? block : command.first)
          @owners[@trap] ||= Thread.current unless @trap.is_a?(String)
          before
        end

        # To be called before Thread.new is the host's: the thread belongs to no call.
        #
        # @return [nil]
        def install
          @begin = Queue.new
          @thread = Thread.new { wait if @begin.pop }
          @thread.name = "tasker-rb: ^C"
          Conduct.terminal = self
          Binding.prepend(ForBinding)
          nil
        end

        # Begins to wait for ^C. Go answers by now.
        #
        # @return [nil]
        def listen
          @begin << true
          nil
        end

        # Runs irb. Its first call loads irb, and calls Binding#irb again.
        #
        # @return [Object] what the block returns
        def prompt
          thread = Thread.current
          return yield if thread.thread_variable_get(:tasker_prompt)

          STDOUT.puts("exit or ^D goes on; exit! ends #{@what}")
          value = nil
          quits = catch(thread) do
            thread.thread_variable_set(:tasker_prompt, true)
            value = yield
            false
          rescue SystemExit => e # exit! is a command of newer versions of irb
            raise unless e.success? && e.backtrace_locations&.first&.path&.end_with?("/irb.rb")

            true
          ensure
            thread.thread_variable_set(:tasker_prompt, nil)
          end
          return value unless quits

          begin
            @ending&.call
          rescue UncaughtThrowError
            nil # a thread that a person has started at the prompt
          end
          tell_of_quit
          loop { sleep } # the interrupt of the step ends it
        end

        # What exit! does: at a prompt it ends the run, and elsewhere nothing.
        #
        # @return [nil]
        def quit_prompt
          thread = Thread.current
          throw(thread, true) if thread.thread_variable_get(:tasker_prompt)
          quit_debugger if @session && thread.equal?(@session.instance_variable_get(:@session_server))
          nil
        end

        # On the debugger's own thread, whose end lets all others run. So it ends after the
        # interrupt of the step that is at the breakpoint.
        def quit_debugger
          client = @session&.instance_variable_get(:@tc)
          tell_of_quit
          sleep(0.005) while client&.waiting?
          Thread.exit
        end

        private

        # Ends the run as ^C does where no prompt is.
        def tell_of_quit
          @over = true
          Host.ask(NAME, "quits", 0)
        end

        def wanted(command)
          case command
          when nil, "", "IGNORE", "SIG_IGN" then "IGNORE"
          when *UNTRAPPED then "DEFAULT"
          else command.respond_to?(:call) ? command : "DEFAULT"
          end
        end

        def wait
          said = ""
          loop do
            Host.ask(NAME, said, 0)
            said = interrupt ? "trapped" : "passed"
          end
        rescue ServiceError
          nil # the host closes
        end

        # Calls the trap here, on no thread of its own. Ruby would call it on the main
        # thread, which is the host's; so what it raises is raised where it was set.
        #
        # @return [Boolean] whether there is one
        def interrupt
          trap = @trap
          return false if @over
          return trap == "IGNORE" if trap.is_a?(String)

          owner = @owners[trap]
          return false unless owner&.alive?

          begin
            trap.call(Signal.list["INT"])
          rescue Exception => e # rubocop:disable Lint/RescueException
            owner.raise(e)
          end
          true
        end

        # While a person is at its prompt, the gem debug stops all threads but its own at
        # the next line that they run. The thread that waits for ^C must not be one.
        def stand_aside
          session = defined?(::DEBUGGER__::SESSION) && ::DEBUGGER__::SESSION
          return if !session || session.equal?(@session) || !session.active?

          client = session.get_thread_client(@thread)
          client.mark_as_management
          @session = session
          ::DEBUGGER__::UI_LocalConsole.prepend(ForDebugger)
          ::DEBUGGER__::ThreadClient.const_set(:Interrupt, Ends)
        rescue NoMethodError
          @session = session # another version of it: then ^C does nothing at its prompt
        end
      end
    end
  end
end

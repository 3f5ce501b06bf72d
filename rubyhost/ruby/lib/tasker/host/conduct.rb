# frozen_string_literal: true

module Tasker
  module Host
    # A handler called a method that would end, replace or confuse the process
    # of all other steps. The error is permanent: a retry cannot help.
    class ForbiddenError < Tasker::PermanentError
      def initialize(call, instead)
        super("#{call} is not possible inside tasker-rb: #{instead}", error_code: "FORBIDDEN_CALL")
      end
    end

    # The methods that a handler may not call, or only in part. `exit`, `abort`,
    # `throw` and the like are exceptions that end the step, so they need no rule.
    module Conduct
      # Signals that belong to the host. A trap for one of these does nothing.
      # CHLD is one: if a handler ignored it, Go could not wait for its children.
      HOST_SIGNALS = (Signal.list.keys - %w[EXIT]).freeze

      # Prepended to the class methods of Process, and to Kernel.
      module NoOtherProcess
        def exit!(*)
          return super if Host.forked?

          Conduct.terminal&.quit_prompt
          raise ForbiddenError.new("exit!", "it would end the host; a step fails with an error, and a program ends with exit")
        end

        def exec(*)
          return super if Host.forked?

          raise ForbiddenError.new("exec", "it would replace the host; use system or spawn")
        end

        def fork(&block)
          unless block
            return super if Host.forked?

            raise ForbiddenError.new("fork without a block", "the child would be a second host; use fork { } or spawn")
          end
          super() { Conduct.run_child(&block) }
        end
      end

      # Prepended to Process's class methods. The bridge has defined kill, wait,
      # wait2, waitpid, waitpid2, waitall and detach (children.c).
      module ForProcess
        def daemon(*)
          return super if Host.forked?

          raise ForbiddenError.new("Process.daemon", "it would detach the host; use spawn and Process.detach")
        end
      end

      # The same methods of Kernel. They stay private.
      module ForKernel
        def exit!(*args)
          Process.exit!(*args)
        end

        def exec(*args)
          Process.exec(*args)
        end

        def fork(&block)
          Process.fork(&block)
        end

        def trap(signal, *command, &block)
          Signal.trap(signal, *command, &block)
        end
        private :exit!, :exec, :fork, :trap
      end

      # Signal.trap without the host's signals.
      module ForSignal
        def trap(signal, *command, &block)
          return super if Host.forked?

          signal = Conduct.signal_of(signal) # once: what is checked here is what Ruby gets
          name = signal.is_a?(Integer) ? Signal.signame(signal) : signal.to_s.delete_prefix("SIG")
          return super unless HOST_SIGNALS.include?(name)
          return Conduct.terminal.trap(name, command, block) if Conduct.terminal&.concerns?(name)

          Conduct.ignore_trap(name)
          "DEFAULT"
        end
      end

      # Prepended to Binding where the output of handlers is the host's: a prompt would
      # be lost in it, and would wait for a person who does not see it, or would read what
      # is meant for the host.
      module ForBinding
        %i[irb pry break b].each do |name|
          define_method(name) { |*, **| Conduct.refuse_prompt("binding.#{name}", caller_locations(1, 1).first) }
        end
      end

      # The same for the methods of Kernel, whether or not a gem has defined them.
      module ForPrompts
        private

        def debugger(*, **)
          Conduct.refuse_prompt("debugger", caller_locations(1, 1).first)
        end

        def byebug(*, **)
          Conduct.refuse_prompt("byebug", caller_locations(1, 1).first)
        end
      end

      # The files of irb and of debuggers that set traps.
      PROMPTS = %r{/(?:irb|reline|pry|byebug)(?:/.+)?\.rb\z|/debug/(?:session|console|local|server)\.rb\z}
      private_constant :PROMPTS

      class << self
        # @!visibility private
        # @return [Terminal, nil] what takes the traps of the host's signals
        attr_accessor :terminal

        # @!visibility private
        def install
          @exit_child = Process.method(:exit!)
          Process.singleton_class.prepend(NoOtherProcess, ForProcess)
          Signal.singleton_class.prepend(ForSignal)
          Kernel.singleton_class.prepend(NoOtherProcess, ForSignal)
          Kernel.prepend(ForKernel)
          Process::Status.singleton_class.prepend(ForStatus) if Process::Status.respond_to?(:wait)
          # The bridge has defined these (descriptors_guard.c). File's initialize
          # does not call IO's, and a socket class may be loaded already.
          [IO, *IO.subclasses].each { |c| c.singleton_class.prepend(ForIO) }
          [IO, File].each { |c| c.prepend(ForNewIO) }
        end

        # @!visibility private
        def refuse_prompts
          Binding.prepend(ForBinding)
          Kernel.prepend(ForPrompts)
        end

        # @!visibility private
        # @param call [String]
        # @param place [Thread::Backtrace::Location] where the handler called it
        # @raise [ForbiddenError]
        def refuse_prompt(call, place)
          file = place.path.delete_prefix("#{Dir.pwd}/")
          raise ForbiddenError.new(
            "#{call} at #{file}:#{place.lineno}",
            "a prompt cannot use the terminal here; `tasker-rb run --debug TEMPLATE`, on a terminal, opens one"
          )
        end

        # Warns of a trap that does nothing, and says where it is. The traps of a prompt
        # are not worth a word: whoever opened it did not write them.
        #
        # @!visibility private
        # @param signal [String]
        def ignore_trap(signal)
          place = caller_locations.find { |l| l.path != __FILE__ }
          return if place.path.match?(PROMPTS)

          warn "#{place.path}:#{place.lineno}: warning: tasker-rb: trap(#{signal.inspect}) is ignored, the signal belongs to the host"
        end

        # Only this thread exists in the child. It runs its block and exits
        # without the host's at_exit blocks.
        def run_child
          status = 1
          yield
          status = 0
        rescue SystemExit => e
          status = e.status
        rescue Exception => e # rubocop:disable Lint/RescueException
          STDERR.write(e.full_message(highlight: false))
        ensure
          STDOUT.flush
          STDERR.flush
          @exit_child.call(status)
        end
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module Host
    # A call that would end, replace or confuse the process that runs all the
    # other steps. Permanent: trying again cannot help.
    class ForbiddenError < Tasker::PermanentError
      def initialize(call, instead)
        super("#{call} is not possible inside tasker-rb: #{instead}", error_code: "FORBIDDEN_CALL")
      end
    end

    # What a handler may not do to its host. `exit`, `abort`, `throw` and the
    # like need nothing here: they are exceptions, and end the step.
    module Conduct
      # Signals that belong to the host; a trap for one of these is ignored.
      HOST_SIGNALS = (Signal.list.keys - %w[EXIT CHLD CLD]).freeze

      # In front of Process's own methods, and of those of Kernel.
      module NoOtherProcess
        def exit!(*)
          return super if Conduct.child?

          raise ForbiddenError.new("exit!", "raise an error to fail the step, or call exit")
        end

        def exec(*)
          return super if Conduct.child?

          raise ForbiddenError.new("exec", "it would replace the host; use system or spawn")
        end

        def fork(&block)
          unless block
            raise ForbiddenError.new("fork without a block", "the child would be a second host; use fork { } or spawn")
          end
          super() { Conduct.run_child(&block) }
        end
      end

      # In front of Process's own methods.
      module ForProcess
        def daemon(*)
          raise ForbiddenError.new("Process.daemon", "it would detach the host; use spawn and Process.detach")
        end

        def wait(pid = -1, *flags)
          super(Conduct.one_child(pid), *flags)
        end

        def wait2(pid = -1, *flags)
          super(Conduct.one_child(pid), *flags)
        end

        def waitpid(pid = -1, *flags)
          super(Conduct.one_child(pid), *flags)
        end

        def waitpid2(pid = -1, *flags)
          super(Conduct.one_child(pid), *flags)
        end

        def waitall
          Conduct.one_child(-1)
        end
      end

      # Kernel's versions of the same for everybody, private as they are.
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
          name = signal.is_a?(Integer) ? Signal.signame(signal) : signal.to_s.delete_prefix("SIG")
          return super unless HOST_SIGNALS.include?(name)

          warn "tasker-rb: trap(#{name.inspect}) is ignored, the signal belongs to the host", uplevel: 1
          "DEFAULT"
        end
      end

      class << self
        # @return [Boolean] whether this is the child of a fork, which has nothing of the host
        def child?
          @child
        end

        # @!visibility private
        def install
          @child = false
          @exit_child = Process.method(:exit!)
          Process.singleton_class.prepend(NoOtherProcess, ForProcess)
          Signal.singleton_class.prepend(ForSignal)
          Kernel.singleton_class.prepend(NoOtherProcess, ForSignal)
          Kernel.prepend(ForKernel)
        end

        # The child has this thread and nothing else of the host: it runs its
        # block and leaves without the host's at_exit blocks.
        def run_child
          @child = true
          status = 1
          $stdout = STDOUT if $stdout.is_a?(Output)
          $stderr = STDERR if $stderr.is_a?(Output)
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

        # Waiting for any child would take those of the host's Go half.
        def one_child(pid)
          return pid if pid.is_a?(Integer) && pid.positive?

          raise ForbiddenError.new("waiting for any child (#{pid.inspect})", "give the pid that spawn returned")
        end
      end
    end
  end
end

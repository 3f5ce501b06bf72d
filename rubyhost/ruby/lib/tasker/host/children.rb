# frozen_string_literal: true

module Tasker
  module Host
    # Children that a step leaves running are reported: nobody waits for them,
    # and they hold what they have inherited. They are not killed. A child that
    # was detached (Process.detach, Open3.popen3) is none of these.
    #
    # Ruby's own system and backticks tell nobody the pid, and an interrupt leaves
    # their child behind. So in a step they are a spawn and a popen here.
    module Children
      # How many children are remembered. One that a thread starts after its
      # step's end is never reported, and must not stay here.
      MOST = 1000
      private_constant :MOST

      # Prepended to the class methods of Process and Kernel.
      module Starting
        def spawn(*command, **options)
          command, options = AllOutput.redirect(command, options)
          Children.at_once(:itself) { super(*command, **options) }
        end

        def fork(&block)
          super.tap { |pid| Children.note(pid) }
        end
      end

      # Prepended to the class methods of Process.
      module Detaching
        def detach(pid)
          callers = caller_locations(1, 3)
          super.tap { Children.forget(pid) unless Children.captures?(callers) }
        end
      end

      # Prepended to Kernel. Its fork calls the one of Process.
      module ForKernel
        def spawn(*command, **options)
          command, options = AllOutput.redirect(command, options)
          Children.at_once(:itself) { super(*command, **options) }
        end
        private :spawn
      end

      # Prepended to Kernel's class methods.
      module Waiting
        def system(*command, **options)
          command, options = AllOutput.redirect(command, options)
          if options[:exception] # its error names the command as only Ruby's own can
            begin
              return super(*command, **options)
            ensure
              Host.child_waited
            end
          end

          Children.run(command, options.except(:exception)) { super(*command, **options) }
        end

        def `(command)
          Children.read(command) { super }
        end
      end

      # The same for Kernel, whose methods are private.
      WaitingForKernel = Waiting.dup
      WaitingForKernel.class_eval { private(*instance_methods(false)) }

      # Prepended to IO's class methods. With a block, IO waits for the child, unless
      # it is interrupted.
      module ForIO
        def popen(*command, **options, &block)
          return super if command.include?("-") # that one forks

          command, options = AllOutput.redirect_popen(command, options)
          return super(*command, **options, &block) if Children.outside?

          io = Children.at_once(:pid) { super(*command, **options, &nil) }
          return io unless block_given?

          begin
            yield io
          ensure
            io.close
            Host.child_waited
          end
        end
      end

      @lock = Mutex.new
      @by = {} # pid => [serial of the step, place]
      @any = false

      class << self
        # @return [Boolean] whether a running step has started a child
        attr_reader :any

        # @!visibility private
        def install
          @spawn, @wait, @popen = Process.method(:spawn), Process.method(:wait), IO.method(:popen) # without what is prepended below
          Process.singleton_class.prepend(Starting, Detaching)
          Kernel.singleton_class.prepend(Starting)
          Kernel.prepend(ForKernel)
          IO.singleton_class.prepend(ForIO)
          Kernel.prepend(WaitingForKernel)
          Kernel.singleton_class.prepend(Waiting)
        end

        # What Kernel#system does with the command. The block is Ruby's own: it is called
        # outside of steps, and for a command that does not start, which it words.
        #
        # @!visibility private
        def run(command, options)
          return yield if outside?

          pid = at_once(:itself) { started { @spawn.call(*command, **options) } }
          return yield unless pid

          @wait.call(pid)
          forget(pid)
          $?.success? ? true : false
        end

        # What backticks do with the command.
        #
        # @!visibility private
        def read(command)
          return yield if (outside? && !AllOutput.caught?) || !command.is_a?(String) || command == "-"

          _, options = AllOutput.redirect_popen([command], { external_encoding: Encoding.default_external, internal_encoding: nil })
          io = at_once(:pid) { started { @popen.call(command, **options) } }
          return yield unless io

          pid = io.pid
          text = io.read
          io.close
          forget(pid)
          Host.child_waited
          text
        end

        # Open3's capture methods wait for the thread that they detach the child to.
        #
        # @!visibility private
        # @param frames [Array<Thread::Backtrace::Location>] who calls detach
        def captures?(frames)
          frames.size == 3 && frames.all? { |at| at.path.end_with?("/open3.rb") } && frames.last.base_label.start_with?("capture")
        end

        # @!visibility private
        def outside? = Host.forked? || Lineage.serial.zero?

        # @!visibility private
        def note(pid)
          return if pid.nil? || outside?

          serial = Lineage.serial
          place = Lineage.place_of_call
          @lock.synchronize do
            @by.shift if @by.size >= MOST
            @by[pid] = [serial, place]
            @any = true
            StepEnd.needed
          end
        end

        # @!visibility private
        def forget(pid)
          @lock.synchronize { @by.delete(pid) } if @any
        end

        # Reports the children that this thread's step leaves. An interrupt waits until it has.
        def report
          Thread.handle_interrupt(Interrupt => :never) { report_left_by(Host.job_serial) }
        end

        # Starts a child and notes it. No exception of another thread comes in between.
        #
        # @!visibility private
        # @param pid [Symbol] what returns the pid of what the block returns
        def at_once(pid)
          Thread.handle_interrupt(Object => :never) { yield.tap { |child| note(child.public_send(pid)) if child } }
        end

        private

        def report_left_by(serial)
          left = @lock.synchronize do
            mine, others = @by.partition { |_, (by, _)| by == serial }
            @by = others.to_h
            @any = !@by.empty?
            mine
          end
          left.each do |pid, (_, place)|
            next unless Host.child_left?(pid)

            Output.log("warn", "the step leaves a child running, pid #{pid} from #{place}", { "pid" => pid, "place" => place })
          end
        end

        # @return [Object, nil] nothing if the command does not start
        def started
          yield
        rescue StandardError
          nil
        end
      end
    end
  end
end

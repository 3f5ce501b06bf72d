# frozen_string_literal: true

module Tasker
  module Host
    # Children that a step leaves running are reported: nobody waits for them,
    # and they hold what they have inherited. They are not killed. A child that
    # was detached (Process.detach, Open3) is none of these.
    module Children
      # How many children are remembered. One that a thread starts after its
      # step's end is never reported, and must not stay here.
      MOST = 1000
      private_constant :MOST

      # Prepended to the class methods of Process and Kernel.
      module Starting
        def spawn(*, **)
          super.tap { |pid| Children.note(pid) }
        end

        def fork(&block)
          super.tap { |pid| Children.note(pid) }
        end
      end

      # Prepended to the class methods of Process.
      module Detaching
        def detach(pid)
          super.tap { Children.forget(pid) }
        end
      end

      # Prepended to Kernel. Its fork calls the one of Process.
      module ForKernel
        def spawn(*, **)
          super.tap { |pid| Children.note(pid) }
        end
        private :spawn
      end

      # Prepended to IO's class methods. With a block, IO waits for the child.
      module ForIO
        def popen(*, **, &block)
          io = super
          Children.note(io.pid) if io.is_a?(IO) && !block
          io
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
          Process.singleton_class.prepend(Starting, Detaching)
          Kernel.singleton_class.prepend(Starting)
          Kernel.prepend(ForKernel)
          IO.singleton_class.prepend(ForIO)
        end

        # @!visibility private
        def note(pid)
          return if pid.nil? || Host.forked?

          serial = Lineage.serial
          return if serial.zero?

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

        # Reports the children that this thread's step leaves.
        def report
          serial = Host.job_serial
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
      end
    end
  end
end

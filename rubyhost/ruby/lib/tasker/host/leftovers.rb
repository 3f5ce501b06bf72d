# frozen_string_literal: true

module Tasker
  module Host
    # A handler may change its process or its thread in ways that would hurt
    # later steps. Global settings are put back when the step has ended. A thread
    # with changes that cannot be undone is replaced.
    module Leftovers
      # Prepended to Thread. A handler's changes to its own thread end with its
      # step, and it cannot change the thread of another step.
      module ForThread
        # A killed thread cannot be killed again, even if an ensure block saved
        # it. So it is replaced.
        def kill
          Leftovers.mark(self, "Thread#kill")
          super
        end

        def exit
          Leftovers.mark(self, "Thread#exit")
          super
        end

        def terminate
          Leftovers.mark(self, "Thread#terminate")
          super
        end

        def priority=(value)
          Leftovers.mark(self, "Thread#priority=")
          super
        end

        def set_trace_func(*)
          Leftovers.mark(self, "Thread#set_trace_func")
          super
        end

        def add_trace_func(*)
          Leftovers.mark(self, "Thread#add_trace_func")
          super
        end

        def raise(*, **)
          Leftovers.check(self, "Thread#raise")
          super
        end
      end

      # Prepended to Thread's class methods.
      module ForThreadClass
        def kill(thread)
          Leftovers.mark(thread, "Thread.kill")
          super
        end

        def exit
          Leftovers.mark(current, "Thread.exit")
          super
        end

        # The mask belongs to the thread and not to the Fiber. A Fiber that never
        # leaves the block leaves its thread masked.
        def handle_interrupt(*)
          return super unless Lineage.main_ractor?

          Host.masked(1)
          begin
            super
          ensure
            Host.masked(-1)
          end
        end
      end

      # Prepended to ThreadGroup: a group that its thread was moved to may be
      # frozen later.
      module ForThreadGroup
        def add(thread)
          Leftovers.mark(thread, "ThreadGroup#add")
          super
        end
      end

      # Prepended to TracePoint's class methods. A trace point's block runs in
      # every thread but the host's main thread. One whose block raises is turned
      # off, and raises in its own step only: trace.c has both.
      module ForTracePoint
        def new(*events, &block)
          return super unless block && Lineage.main_ractor?

          super(*events, &Host.trace_block(block))
        end

        def trace(*events, &block)
          new(*events, &block).tap(&:enable)
        end
      end

      # Prepended to Kernel, where the method is private, and to Kernel's class
      # methods.
      module ForKernel
        def set_trace_func(trace)
          return super unless trace

          Leftovers.left(:trace)
          super(trace.is_a?(Proc) && Lineage.main_ractor? ? Host.trace_block(trace) : trace)
        end
        private :set_trace_func
      end

      # Prepended to GC's class methods.
      module ForGC
        def stress=(value)
          Host.stressed(true) if value # job_cleanup.c puts it back if an interrupt keeps us from it
          Leftovers.left(:stress) if value
          super
        end
      end

      SETTINGS = %i[stress trace stdout stderr].freeze
      private_constant :SETTINGS

      @by = {} # setting => the serial of the step that changed it
      @any = false
      @outputs = [$stdout, $stderr]

      class << self
        # @return [Boolean] whether a running step has changed a global setting
        attr_reader :any

        # Has the thread replaced after its step, if it is a worker thread.
        #
        # @!visibility private
        def mark(thread, call)
          check(thread, call)
          Host.replace(thread)
        end

        # @!visibility private
        # @raise [ForbiddenError] if the thread is the host's or runs another step
        def check(thread, call)
          whose = if Host.main_thread?(thread) then "the host's main thread"
                  elsif Host.foreign?(thread) then "a thread of another step"
                  end
          Kernel.raise ForbiddenError.new("#{call} on #{whose}", "use it only on threads that the step has started") if whose
        end

        # @!visibility private
        # @return [Integer] the serial of the step
        def left(what)
          serial = Host.job_serial
          return serial if serial.zero?

          @by[what] = serial
          @any = true
          StepEnd.needed
          serial
        end

        # @!visibility private
        def install
          Thread.prepend(ForThread)
          Thread.singleton_class.prepend(ForThreadClass)
          ThreadGroup.prepend(ForThreadGroup)
          TracePoint.singleton_class.prepend(ForTracePoint)
          Kernel.prepend(ForKernel)
          Kernel.singleton_class.prepend(ForKernel)
          Kernel.singleton_class.send(:public, :set_trace_func)
          GC.singleton_class.prepend(ForGC)
          @outputs = [$stdout, $stderr]
          trace_var(:$stdout) { |now| left(:stdout) unless now.equal?(@outputs[0]) }
          trace_var(:$stderr) { |now| left(:stderr) unless now.equal?(@outputs[1]) }
        end

        # Puts back the settings that this thread's step has changed, and those of
        # steps that have ended: an interrupt may have hit them right here. GC.stress
        # comes first, because it makes everything slow.
        def clear
          serial = Host.job_serial
          SETTINGS.each do |what|
            by = @by[what]
            next if by.nil? || (by != serial && Host.running?(by))

            put_back(what)
            @by.delete(what) if @by[what] == by
          end
          @any = !@by.empty?
        end

        # Called at the end of what is no step (Host.Eval, Host.Load): what it has
        # set stays.
        def keep
          Host.stressed(false)
          return unless @any

          serial = Host.job_serial
          @by.delete_if { |_, by| by == serial }
          @any = !@by.empty?
        end

        private

        def put_back(what)
          case what
          when :stress then GC.stress = false
          when :stdout then $stdout = @outputs[0]
          when :stderr then $stderr = @outputs[1]
          when :trace then Kernel.instance_method(:set_trace_func).bind_call(self, nil)
          end
        end
      end
    end
  end
end

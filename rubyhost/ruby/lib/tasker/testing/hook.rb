# frozen_string_literal: true

require_relative "attempt"

module Tasker
  module Testing
    # What tests put around the code of steps. It is there in tests only.
    #
    # @api private
    module Hook
      # Prepended to Execution's class methods.
      module ForExecution
        def run(handler_class, segments, method = nil, hooks = nil)
          example = Example.current
          # Testing.run gives an Array: it has no engine, and no attempt.
          return super if example.nil? || segments.is_a?(Array)

          Attempt.new(example, Sequence.new(segments)).run { super }
        end
      end

      # Prepended to Tasker's class methods.
      module ForLogger
        def logger
          attempt = Attempt.current
          return super unless attempt

          logger = super
          Recorder.new(attempt, logger, Hook.default?(logger))
        end
      end

      # Prepended to Kernel's class methods.
      module ForSleep
        def sleep(*seconds)
          attempt = Attempt.current
          return super.tap { Clock.slept(seconds.first || 0) if attempt } unless attempt&.expire_in_sleep?

          Service.ask(:expire, **attempt.fields)
          super() # until the engine interrupts it
        end
      end

      # Prepended to Kernel, where the method is private.
      ForOwnSleep = ForSleep.dup.tap { |own| own.send(:private, :sleep) }

      # Prepended to SecureRandom's class methods.
      module ForSecureRandom
        def bytes(count)
          (random = Attempt.current&.random) ? random.bytes(count) : super
        end

        def gen_random(count)
          (random = Attempt.current&.random) ? random.bytes(count) : super
        end
      end

      class << self
        # @return [nil]
        def install
          return if @installed

          @installed = true
          Execution.singleton_class.prepend(ForExecution)
          Tasker.singleton_class.prepend(ForLogger)
          Kernel.prepend(ForOwnSleep)
          Kernel.singleton_class.prepend(ForSleep)
          SecureRandom.singleton_class.prepend(ForSecureRandom)
          nil
        end

        # Sees the expectations that fail in handlers when they are raised: a handler
        # may rescue them.
        def watching(&block)
          trace = TracePoint.new(:raise) do |point|
            attempt = Attempt.current
            attempt.expectation_failed(point.raised_exception) if attempt && Expectations.failure?(point.raised_exception)
          end
          trace.enable
          begin
            block.call
          ensure
            trace.disable
          end
        end

        # @!visibility private
        # @return [Boolean] whether it is the logger that nobody has set
        def default?(logger)
          (Tasker.const_defined?(:Host) && logger.is_a?(Host::Log)) || (logger.respond_to?(:progname) && logger.progname == "tasker")
        end
      end
    end
  end
end

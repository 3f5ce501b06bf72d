# frozen_string_literal: true

require "securerandom"
require_relative "expectations"
require_relative "observed"

module Tasker
  module Testing
    # One start of a step under test, from before its handler's code to its end.
    #
    # @api private
    class Attempt
      KEY = :tasker_attempt
      MAIN = Ractor.current
      private_constant :KEY, :MAIN

      @running = {}
      @lock = Mutex.new

      class << self
        # @return [Attempt, nil] whose code this thread runs; also in threads that the
        #   handler has started. A Ractor has none.
        def current
          return unless MAIN.equal?(Ractor.current)

          Thread.current.thread_variable_get(KEY) || of_job
        end

        # Runs the block as the attempt's code.
        #
        # @!visibility private
        def enter(attempt)
          serial = job
          @lock.synchronize { @running[serial] = attempt } if serial
          Thread.current.thread_variable_set(KEY, attempt)
          yield
        ensure
          Thread.current.thread_variable_set(KEY, nil)
          @lock.synchronize { @running.delete(serial) if @running[serial].equal?(attempt) } if serial
        end

        private

        # The host knows for which step a thread works.
        def of_job
          serial = job unless @running.empty?
          serial && @running[serial]
        end

        def job
          return unless Tasker.const_defined?(:Host)

          serial = Host.job_serial
          serial unless serial.zero?
        end
      end

      # @return [Example] that runs its task
      attr_reader :example
      # @return [Integer]
      attr_reader :task_id
      # @return [String] the step's name
      attr_reader :step
      # @return [Integer] 1 for the first
      attr_reader :number
      # @return [Random, nil] for what is to be the same in every run
      attr_reader :random

      # @param example [Example]
      # @param sequence [Sequence] that a handler would get
      def initialize(example, sequence)
        @example = example
        @sequence = sequence
        @task_id = sequence.current_step.task_id
        @step = sequence.current_step.name
        @number = sequence.current_step.attempts
        @observed = example.observed
        @expire = false
        @failure = nil
      end

      # Runs the handler, or what stands in for it.
      #
      # @yield runs the handler
      # @return [Object] the step's results
      def run(&handler)
        Attempt.enter(self) { attempt(&handler) }
      ensure
        Isolation.reseed(@seed_before) if @random
      end

      # Keeps an expectation's failure, even if the handler rescues it.
      #
      # @return [nil]
      def expectation_failed(failure)
        @failure ||= failure
        example.failed(failure)
      end

      # @return [Boolean] whether its time is to be up in the next sleep. It is said once.
      def expire_in_sleep?
        expire = @expire
        @expire = false
        expire
      end

      # @return [Hash] its fields in a request
      def fields
        { task_id: task_id, step: step, attempt: number }
      end

      # @return [nil]
      def logged(level, message)
        @observed.logged(level, message.is_a?(String) ? message : message.inspect, self)
      end

      private

      def attempt(&handler)
        begin_step
        results = work(&handler)
        raise @failure if @failure

        results
      rescue Exception => e # rubocop:disable Lint/RescueException
        raise unless (failure = @failure || (e if Expectations.failure?(e)))

        expectation_failed(failure)
        raise PermanentError.new("an expectation failed: #{failure.message}", error_code: Expectations::CODE)
      end

      def begin_step
        reply = Service.ask(:step_begin, **fields)
        @expire = reply["expire_in_sleep"] == true
        seed = reply["seed"] or return

        seed += example.draw
        @seed_before = Kernel.srand(seed)
        @random = Random.new(seed)
      end

      def work
        injected = example.faults.take(step)
        return injected.call if injected

        stub = example.stubs[step]
        stub ? stub.call(@sequence.task, @sequence, @sequence.current_step) : yield
      end
    end
  end
end

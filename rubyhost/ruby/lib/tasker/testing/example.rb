# frozen_string_literal: true

require_relative "service"
require_relative "isolation"
require_relative "faults"
require_relative "observed"
require_relative "hook"

module Tasker
  module Testing
    # What an example of the suite has asked for, and what has come of it.
    #
    # @api private
    class Example
      @turn = Mutex.new

      class << self
        # @return [Example, nil] the one that runs now
        attr_reader :current

        # @return [Example]
        # @raise [Error] outside an example, and [Absent] without an engine
        def current!
          return current if current

          Service.ask(:there) # raises when there is no engine at all
          raise Error, OUTSIDE
        end

        # Begins an example. One runs at a time: they share the database and the clock.
        #
        # @param description [String]
        # @param place [String] file:line
        # @return [Example, nil] nil when this process cannot run tasks
        def begin(description, place)
          return unless Service.there?

          Clock.install
          Hook.install
          @turn.lock
          @current = new(description, place).tap(&:begin)
        rescue Absent
          give_turn
          nil
        rescue Exception # rubocop:disable Lint/RescueException
          give_turn
          raise
        end

        # @return [nil]
        # @raise [Error] see {#end}
        def end
          return unless current

          begin
            current.end
          ensure
            give_turn
          end
        end

        private

        def give_turn
          @current = nil
          @turn.unlock if @turn.owned?
        end
      end

      OUTSIDE = "call run_task and the methods like it in an example (it, test_…), or in what runs before each one"
      # Where the frames are that say nothing to the user.
      LIBRARY = "#{File.expand_path("../..", __dir__)}/"
      private_constant :OUTSIDE, :LIBRARY

      # @return [Array<Task>] that it has run
      attr_reader :tasks
      # @return [Faults]
      attr_reader :faults
      # @return [Observed] of the task that runs now, or ran last
      attr_reader :observed
      # @return [String] file:line
      attr_reader :place

      # @return [Hash{String => #call}] by step, of the task that runs now
      attr_accessor :stubs
      # @return [Integer] added to the seeds of attempts: runs with another one draw other
      #   random values
      attr_accessor :draw
      # @return [Array<String>] each is a line for the end of the example
      attr_reader :warnings

      def initialize(description, place)
        @description = description
        @place = place
        @tasks = []
        @faults = Faults.new
        @warnings = []
        @stubs = {}
        @draw = 0
        @observed = Observed.new
        @failure = nil
        @lock = Mutex.new
      end

      # @return [nil]
      def begin
        Clock.reset
        @isolation = Isolation.new(@place)
        Service.ask(:begin, description: @description, place: @place)
        nil
      end

      # Ends it, and puts the process back as it was.
      #
      # @return [nil]
      # @raise [Error] when a fault has met no attempt
      def end
        reply = Service.ask(:end)
        @warnings.concat(reply["warnings"].to_a)
        unmet = faults.unmet(reply["unmet"].to_a, tasks)
        # Its backtrace would have lines of this library and of the framework only.
        raise Error, unmet.join("\n"), ["#{place}:in the example"] unless unmet.empty?
      ensure
        @isolation&.restore
        Clock.reset
      end

      # Runs a task, and keeps it for the report.
      #
      # @return [Task]
      # @raise the first expectation that failed on a handler's thread
      def run(operation, **fields)
        @observed = Observed.new
        @failure = nil
        reply = @observed.watch { Hook.watching { Service.ask(operation, **fields) } }
        Task.new(reply, @observed).tap { |task| @tasks << task }
      ensure
        raise_failure if @failure
      end

      # Keeps the first expectation that fails on a handler's thread.
      #
      # @param failure [Exception]
      # @return [nil]
      def failed(failure)
        @lock.synchronize { @failure ||= failure }
        nil
      end

      private

      # As if it had failed in the example: with its own place, and then the example's.
      def raise_failure
        failure = @failure
        @failure = nil
        Expectations.mark_skipped(failure)
        failure.set_backtrace((failure.backtrace.to_a + caller).reject { |line| line.start_with?(LIBRARY) })
        raise failure
      end
    end
  end
end

# frozen_string_literal: true

require_relative "near"

module Tasker
  module Testing
    # The failures of steps that an example has asked for. Those of the engine are
    # the engine's; it says which of them met no attempt.
    #
    # @api private
    class Faults
      # One call of {API#fail_step}.
      class Failing
        # @return [String]
        attr_reader :step
        # @return [Integer] how many attempts it still waits for
        attr_accessor :left

        # @param step [String]
        # @param with [Exception, :unrepresentable]
        # @param times [Integer]
        # @param place [Array<String>] the backtrace of the call
        def initialize(step, with, times, place)
          @step = step
          @with = with
          @left = @times = times
          @place = place
        end

        # @return [Boolean] whether it is over
        def over? = @left.zero?

        # @return [Object] results, or it raises
        def call
          # JSON has no notation for this Float.
          return { "unrepresentable" => Float::NAN } if @with == :unrepresentable

          error = @with.dup
          error.set_backtrace(@place)
          raise error
        end

        # @return [Failing] itself, used once more
        def use
          @left -= 1
          self
        end

        # @return [String] for the message when it is not over at the end
        def to_s
          what = @with == :unrepresentable ? "an unrepresentable result" : @with.class.name
          "fail_step #{step.inspect} with #{what}"
        end

        # @return [String]
        def met
          return "met no attempt" if @left == @times

          "met #{@times - @left} of #{@times} attempts"
        end
      end

      # The words for an exception when fail_step was given its class, or a message only.
      MESSAGE = "a failure that the test asked for"
      private_constant :MESSAGE

      # Asks the engine for a fault.
      #
      # @param at [Symbol, Hash] one of +places+; <tt>{ statement: 2 }</tt> for a statement
      # @return [nil]
      # @raise [ArgumentError] for another place
      def self.ask(step, kind, at, places, real: false)
        place, number = at.is_a?(Hash) && at.size == 1 ? at.first : [at, nil]
        unless places.include?(place) && (place == :statement ? number.is_a?(Integer) && number.positive? : number.nil?)
          words = places.map { |name| name == :statement ? "{ statement: 1 }" : name.inspect }
          raise ArgumentError, "at: has to be #{words.join(" or ")}, not #{at.inspect}"
        end
        Example.current!
        Service.ask(:fault, step: step.to_s, kind: kind, at: place, number: number, side: nil, times: 1, real: real)
        nil
      end

      def initialize
        @failing = []
        @lock = Mutex.new
      end

      # @param with [Class, Exception, String, :unrepresentable]
      # @return [nil]
      # @raise [ArgumentError]
      def fail_step(step, with, times, place)
        raise ArgumentError, "times: has to be 1 or more, not #{times.inspect}" unless times.is_a?(Integer) && times.positive?

        failing = Failing.new(step, cause(with), times, place)
        @lock.synchronize { @failing << failing }
        nil
      end

      # @param step [String]
      # @return [Failing, nil] what this attempt of the step meets
      def take(step)
        @lock.synchronize { @failing.find { |failing| failing.step == step && !failing.over? }&.use }
      end

      # @return [Array<Integer>] how often each one is still to be met
      def left
        @lock.synchronize { @failing.map(&:left) }
      end

      # Has each be met so often again: for another run of the same task.
      def left=(counts)
        @lock.synchronize { @failing.zip(counts) { |failing, count| failing.left = count } }
      end

      # @param unmet [Array<Hash>] the engine's
      # @param tasks [Array<Task>] of the example
      # @return [Array<String>] a line for each fault that has met no attempt
      def unmet(unmet, tasks)
        names = tasks.flat_map { |task| task.steps.map(&:name) }.uniq
        own = @failing.reject(&:over?).map { |failing| line(failing.to_s, failing.met, failing.step, tasks, names) }
        own + unmet.map { |fault| line(words(fault), "met no attempt", fault["step"], tasks, names) + statements(fault, tasks) }
      end

      private

      def line(what, met, step, tasks, names)
        "#{what} #{met}#{reason(step, tasks, names)}"
      end

      def reason(step, tasks, names)
        return "; the example has run no task" if tasks.empty?
        return ": there is no such step#{Near.hint(step, names)}" unless names.include?(step)

        count = tasks.sum { |task| task.step?(step) ? task.step(step).attempts : 0 }
        ": the step has begun #{count == 1 ? "once" : "#{count} times"}"
      end

      # @return [String] how many statements there were for a fault at one
      def statements(fault, tasks)
        return "" unless fault["at"] == "statement"

        sent = tasks.select { |task| task.step?(fault["step"]) }.flat_map { |task| task.step(fault["step"]).sql.group_by(&:attempt).values.map(&:size) }.max
        sent ? ", and no attempt has sent more than #{sent} statement#{"s" unless sent == 1}" : ", and has sent no statement"
      end

      def words(fault)
        kind = { "crash" => "kill_host", "connection" => "lose_connection", "timeout" => "timeout_step", "commit_answer" => "lose_commit_answer" }
        number = " #{fault["number"]}" if fault["at"] == "statement"
        "#{kind.fetch(fault["kind"], fault["kind"])} #{fault["step"].inspect} (#{fault["at"]}#{number})"
      end

      def cause(with)
        case with
        when :unrepresentable, Exception then with
        when String then RuntimeError.new(with)
        when Class then with <= Exception ? made(with) : refuse(with)
        else refuse(with)
        end
      end

      def made(klass)
        klass.exception(MESSAGE)
      rescue ArgumentError
        raise ArgumentError, "#{klass}.new takes other arguments than a message: give fail_step an instance, with: #{klass}.new(...)"
      end

      def refuse(with)
        raise ArgumentError, "with: has to be an exception, its class, a message or :unrepresentable, not #{with.inspect}"
      end
    end
  end
end

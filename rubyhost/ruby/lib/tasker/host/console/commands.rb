# frozen_string_literal: true

require "tasker"
Tasker.const_get(:Testing) # before its files, which open the module
require "tasker/testing/observed"

module Tasker
  module Host
    module Console
      # Text that anyone may have written, such as an error's, for a terminal.
      #
      # @param text [String]
      # @return [String] with control characters escaped, except for the ends of lines
      def self.printable(text)
        text.scrub.gsub(/[[:cntrl:]&&[^\n\t]]/) { |character| format("\\u%04x", character.ord) }
      end

      # A task as it is in the database now. It does not change.
      class Task < Testing::Task
        # The most characters of a step's results or error.
        MOST = 120
        # The numbers that PostgreSQL gives tasks.
        NUMBERS = (1..((2**63) - 1))
        private_constant :MOST, :NUMBERS

        # @param given [Object] an Integer, or its digits
        # @return [Integer]
        # @raise [ArgumentError] when it is no task's number
        def self.number(given)
          number = given.is_a?(Integer) || given.is_a?(String) ? Integer(given, exception: false) : nil
          return number if NUMBERS.cover?(number)

          text = given.inspect
          text = "#{text[0, MOST]}…" if text.length > MOST
          raise ArgumentError, "a task's number is between #{NUMBERS.min} and #{NUMBERS.max}; it cannot be #{text}"
        end

        # @param fields [Hash{String => Object}]
        def initialize(fields)
          super({ "task" => fields }, Testing::Observed.new)
        end

        # @return [String] a line for each step
        def inspect
          width = steps.map { |step| step.name.length }.max.to_i
          lines = steps.map { |step| "  #{step.name.ljust(width)}  #{step.status}#{said(step)}" }
          Console.printable("task #{task_id}  #{namespace_name}/#{name} #{version}  #{status}\n#{lines.join("\n")}")
        end
        alias to_s inspect

        private

        def said(step)
          text = step.error ? step.error.to_s : (step.results.inspect if step.complete?)
          text = text.to_s.lines.first.to_s.chomp
          text = "#{text[0, MOST]}…" if text.length > MOST
          text.empty? ? "" : "  #{text}"
        end
      end

      # The methods of the console.
      module Commands
        # @return [Tasker::DB]
        def db = Tasker.db

        # @param number [Integer]
        # @return [Task] as it is in the database now
        # @raise [ArgumentError] when it is no task's number
        # @raise [Tasker::Error] when there is none
        def task(number)
          answer = Host.ask(NAME, RubyVersions.generate_json({ "task" => Task.number(number) }))
          Task.new(RubyVersions.parse_json(answer, max_nesting: Values::MAX_DEPTH))
        rescue ArgumentError, Error => e
          # The error is of the line that was typed. Ruby then shows no code of this file.
          e.set_backtrace(e.backtrace.drop_while { |line| line.start_with?(File.dirname(__dir__, 2)) })
          raise
        end

        # Calls a handler here, without a task. Its SQL is not in a step's transaction.
        #
        # @param handler [Class]
        # @return [Object] its results
        # @raise what the handler raises
        # @see Tasker::Testing.run
        def run_step(handler, **given)
          raise ArgumentError, "run_step takes the class itself: write #{handler} without quotes", caller if handler.is_a?(String)

          Testing.run(handler, **given)
        end

        # Loads the files of the handlers folders again that were saved since.
        #
        # @return [Boolean] whether all of them could be loaded
        def reload!
          Reload.run { |line| puts Console.printable(line) }
        end
      end
    end
  end
end

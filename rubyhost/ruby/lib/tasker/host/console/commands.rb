# frozen_string_literal: true

require "tasker"
Tasker.const_get(:Testing) # before its files, which open the module
require "tasker/testing/observed"

module Tasker
  module Host
    module Console
      # A task as it is in the database now. It does not change.
      class Task < Testing::Task
        # The most characters of a step's results or error.
        MOST = 120
        private_constant :MOST

        # @param fields [Hash{String => Object}]
        def initialize(fields)
          super({ "task" => fields }, Testing::Observed.new)
        end

        # @return [String] a line for each step
        def inspect
          width = steps.map { |step| step.name.length }.max.to_i
          lines = steps.map { |step| "  #{step.name.ljust(width)}  #{step.status}#{said(step)}" }
          "task #{task_id}  #{namespace_name}/#{name} #{version}  #{status}\n#{lines.join("\n")}"
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
        # @raise [Tasker::Error] when there is none
        def task(number)
          answer = Host.ask(NAME, RubyVersions.generate_json({ "task" => Integer(number) }))
          Task.new(RubyVersions.parse_json(answer, max_nesting: Values::MAX_DEPTH))
        end

        # Calls a handler here, without a task. Its SQL is not in a step's transaction.
        #
        # @param handler [Class]
        # @return [Object] its results
        # @raise what the handler raises
        # @see Tasker::Testing.run
        def run_step(handler, **given)
          Testing.run(handler, **given)
        end

        # Loads the files of the handlers folders again that were saved since.
        #
        # @return [Boolean] whether all of them could be loaded
        def reload!
          Reload.run { |line| puts line }
        end
      end
    end
  end
end

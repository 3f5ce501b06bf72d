# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # Writes to task.context. A handler has a copy of it, so no other step sees them.
      module ContextWrites
        MESSAGE = "no other step sees this write to task.context"
        HINT = "Return it as results: a step that depends on this one finds them with sequence.find_step_by_name(NAME).results."
        private_constant :MESSAGE, :HINT

        class << self
          # A write is an error if another class reads the key. It is a warning if the key
          # was there before, or if nobody else reads it.
          #
          # @param all [Array<Facts>] of every file
          # @return [Array<Problem>]
          def look(all)
            readers = Hash.new { |hash, key| hash[key] = [] }
            all.each { |facts| facts.reads.each { |read| readers[read.key] << [facts, read] } if facts.reads.any? }
            all.flat_map { |facts| unique(facts).map { |write| problem(facts, write, readers) } }
          end

          # @param facts [Facts] of one file
          # @return [Array<String>] as lines for a log
          def lines(facts)
            unique(facts).map { |write| "#{facts.at(write.line)}: #{MESSAGE}; #{HINT[0].downcase}#{HINT[1..].chomp(".")}" }
          end

          private

          def unique(facts) = facts.writes.uniq { |write| [write.owner, write.line] }

          def problem(facts, write, readers)
            other = write.own || write.key.nil? ? nil : reader(facts, write, readers)
            return Problem.warning(facts.file, write.line, MESSAGE, HINT) unless other

            Problem.error(facts.file, write.line, "#{MESSAGE}, and #{other} reads #{write.key.inspect}", HINT)
          end

          def reader(facts, write, readers)
            return nil unless readers.key?(write.key)

            found, read = readers[write.key].find { |at, r| at.file != facts.file && r.owner != write.owner }
            found && "#{read.owner.empty? ? "" : "#{read.owner} at "}#{found.at(read.line)}"
          end
        end
      end
    end
  end
end

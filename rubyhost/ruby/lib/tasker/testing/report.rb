# frozen_string_literal: true

require_relative "words"
require_relative "expectations"
require_relative "place"

module Tasker
  module Testing
    # What a failing example shows of its tasks: the steps with their states, and of
    # each step that failed the error, its statements and its log.
    #
    # @api private
    module Report
      # Lines at most: of a backtrace, of statements and of a log, and of the history.
      OWN_LINES = 6
      OTHER_LINES = 3
      STATEMENTS = 8
      HISTORY = 12
      WIDTH = 100
      private_constant :OWN_LINES, :OTHER_LINES, :STATEMENTS, :HISTORY, :WIDTH

      class << self
        # @param example [Example]
        # @return [Array<String>] none when it has run no task
        def lines(example)
          example.tasks.flat_map { |task| of_task(task) }
        end

        # @param task [Task]
        # @return [Array<String>]
        def of_task(task)
          failed = task.steps.select { |step| step.error && !step.complete? }
          lines = ["The task #{task.namespace_name}/#{task.name} #{task.version} is #{task.status}:", *steps(task)]
          failed.each { |step| lines.push("", *failure(step)) }
          lines.push("", "History:", *history(task)) unless task.complete? || task.history.empty?
          lines
        end

        private

        def steps(task)
          cells = task.steps.map do |step|
            [mark(step), step.name, step.status, step.attempts.zero? ? "" : count(step.attempts, "attempt"),
             step.depends_on.empty? ? "" : "<- #{step.depends_on.join(", ")}"]
          end
          widths = cells.transpose.map { |column| column.map(&:size).max }
          cells.map { |row| "  #{row.zip(widths).map { |cell, width| cell.ljust(width) }.join("  ")}".rstrip }
        end

        def mark(step)
          { "complete" => "+", "resolved_manually" => "+", "error" => "x", "pending" => "." }.fetch(step.status, "~")
        end

        def failure(step)
          attempt = step.attempts
          statements = step.sql.select { |statement| statement.attempt == attempt }
          lines = cause(step)
          lines.push("SQL of attempt #{attempt}:", *last(statements.map { |s| statement(s) }, STATEMENTS)) if statements.any?
          log = step.log.select { |line| line.attempt == attempt }
          lines.push("Log of attempt #{attempt}:", *last(log.map { |line| "  #{short(line.to_s)}" }, STATEMENTS)) if log.any?
          lines
        end

        # The framework prints an expectation itself, above this.
        def cause(step)
          begun = "#{step.name} failed in attempt #{step.attempts}:"
          step.error.error_code == Expectations::CODE ? ["#{begun} an expectation failed, as above"] : [begun, *error(step.error)]
        end

        def error(failure, why = "")
          lines = "#{why}#{failure}".lines(chomp: true).first(OWN_LINES).map { |line| "  #{line}" }
          lines.concat(places(failure.backtrace))
          lines.concat(error(failure.cause, "caused by ")) if failure.cause
          lines
        end

        # The user's own lines first.
        def places(backtrace)
          own, others = backtrace.reject { |line| Place.ours?(line) }.partition { |line| Place.own?(line) }
          own.first(OWN_LINES).map { |line| "    #{Place.short(line)}" } + others.first(own.empty? ? OWN_LINES : OTHER_LINES).map { |line| "    (#{line})" }
        end

        def statement(statement)
          facts = [statement.rows && count(statement.rows, "row"), statement.milliseconds && "#{statement.milliseconds.round(1)} ms"].compact
          error = statement.error.is_a?(Hash) ? statement.error["message"] : statement.error
          "  #{short(statement.sql)}#{" (#{facts.join(", ")})" if facts.any?}#{" failed: #{short(error)}" if error}"
        end

        def history(task)
          last(task.history.map { |entry| "  #{entry.at&.strftime("%F %T.%L")}  #{short(event(entry))}" }, HISTORY)
        end

        def event(entry)
          whose = entry.step ? "#{entry.step}#{", attempt #{entry.attempt}" if entry.attempt}" : "the task"
          change = [entry.from, entry.to].compact.join(" -> ")
          what = entry.what unless %w[step task].include?(entry.what)
          "#{[whose, what].compact.join(", ")}: #{change}#{" (#{entry.reason})" unless entry.reason.to_s.empty?}"
        end

        def last(lines, most)
          return lines if lines.size <= most

          ["  ... #{lines.size - most} more before ...", *lines.last(most)]
        end

        def count(number, word)
          "#{number} #{word}#{"s" unless number == 1}"
        end

        def short(text) = Words.short(text, WIDTH)
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # Calls that end, replace or confuse the process of all steps, and those that wait
      # for somebody at a terminal. {Conduct} says what the host does about them.
      module ConductRules
        # Methods of Kernel, by name: what they do here, what to do instead, and whether
        # that is only a warning.
        KERNEL = {
          "exit!" => ["exit! is refused: it would end the host with all its steps", "Raise an error to fail the step."],
          "exec" => ["exec is refused: it would replace the host with all its steps", "Use system or spawn."],
          "exit" => ["exit fails the step, and does not end the process", "Return to end the step, or raise an error to fail it."],
          "abort" => ["abort fails the step, and does not end the process", "Raise an error to fail the step, such as Tasker::PermanentError."],
          "at_exit" => ["the at_exit block runs when the host ends, not with the step", "Use ensure for what belongs to the step.", true],
          "trap" => ["the host has the process's signals: this trap does nothing", "Leave it out; ensure blocks run when the host stops.", true],
          "debugger" => ["a debugger is left in", "Take it out; `tasker-rb run --debug` shows what a handler does.", true],
          "byebug" => ["a debugger is left in", "Take it out; `tasker-rb run --debug` shows what a handler does.", true]
        }.freeze
        BARE_FORK = ["fork without a block is refused: the child would be a second host", "Use fork { } or spawn."].freeze
        FORK = ["the child of fork has no database, and holds none of the host's threads", "Use spawn, if it is to run another program.", true].freeze
        DAEMON = ["Process.daemon is refused: it would detach the host", "Use spawn and Process.detach."].freeze
        KILLED = ["ending the thread fails the step", "Return to end the step, or raise an error to fail it."].freeze
        EXITING = %w[exit! exec exit abort fork trap at_exit].freeze
        ENDINGS = %w[kill exit terminate].freeze
        DEBUGGERS = %w[irb pry break b].freeze
        OWN_SIGNALS = %w[EXIT SIGEXIT 0].freeze
        # The names of calls that these rules ask for.
        NAMES = [*KERNEL.keys, *EXITING, *ENDINGS, *DEBUGGERS].freeze
        private_constant :KERNEL, :BARE_FORK, :FORK, :DAEMON, :KILLED, :EXITING, :ENDINGS, :DEBUGGERS, :OWN_SIGNALS

        class << self
          # @param facts [Facts]
          # @return [Array<Problem>]
          def look(facts)
            own = facts.methods.to_h { |method| [method.name, true] }
            facts.calls.filter_map do |call|
              next if call.receiver.nil? && own[call.name]

              message, hint, harmless = rule(call)
              message && Problem.new(facts.file, call.line, harmless ? "warning" : "error", message, hint)
            end
          end

          private

          def rule(call)
            case call.receiver
            when nil then alone(call, call.name)
            when [:const, ["Kernel"]], [:const, ["Process"]], [:const, ["Signal"]] then of_process(call)
            when [:const, ["Thread"]] then KILLED if %w[exit].include?(call.name)
            when [:call, [:const, ["Thread"]], "current"] then KILLED if ENDINGS.include?(call.name)
            when [:call, nil, "binding"], [:local, "binding"] then KERNEL["debugger"] if DEBUGGERS.include?(call.name)
            end
          end

          def alone(call, name)
            return KERNEL[name] if name == "trap" && call.arguments.any? && !OWN_SIGNALS.include?(Shape.literal(call.arguments.first))
            return nil if name == "trap" || (name == "at_exit" && !call.block)

            name == "fork" ? (call.block ? FORK : BARE_FORK) : KERNEL[name]
          end

          def of_process(call)
            return DAEMON if call.name == "daemon"

            alone(call, call.name) if EXITING.include?(call.name)
          end
        end
      end
    end
  end
end

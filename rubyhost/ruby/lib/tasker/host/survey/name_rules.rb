# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # Names that nothing has: constants, methods of tasker-rb's own classes and objects,
      # and methods of ActiveSupport when it is not loaded. To be asked when the handlers
      # are loaded.
      class NameRules
        OURS = %w[Tasker TaskerCore Rails].freeze
        CLOCKS = { "Time" => Time, "Date" => Date, "DateTime" => DateTime }.freeze
        REFUSED_IN_CLASS = %w[checkpoint_yield].freeze
        # The names of calls that these rules ask for.
        NAMES = REFUSED_IN_CLASS
        private_constant :OURS, :CLOCKS, :REFUSED_IN_CLASS

        # @param constants [Constants]
        # @param loading [Loading]
        # @param all [Array<Facts>] of every file
        def initialize(constants, loading, all)
          @constants = constants
          @loading = loading
          @all = all
          @methods = all.flat_map { |facts| facts.methods.map(&:name) }.to_h { |name| [name, true] }
          @missing = {} # constant => [[facts, line]]
        end

        # @return [Array<Problem>]
        def look
          problems = @all.flat_map { |facts| names(facts) + calls(facts) }
          problems + missing
        end

        private

        def names(facts)
          facts.constants.each do |constant|
            next if constant.path.any? { |part| facts.guarded[part] }

            name = shortest(constant)
            (@missing[name] ||= []) << [facts, constant.line] if name && !@loading.named[name]
          end
          []
        end

        # Of ActiveModel::Model it is ActiveModel that is missing.
        def shortest(constant)
          return nil unless @constants.find(constant.path, constant.absolute, constant.nesting).nil?

          size = (1..constant.path.size).find { |n| @constants.find(constant.path.first(n), constant.absolute, constant.nesting).nil? }
          constant.path.first(size).join("::")
        end

        def missing
          @missing.map do |name, places|
            (facts, line), *others = places.sort_by { |found, at| [found.file, at] }.uniq { |found, _| found.file }
            Problem.error(facts.file, line, "uninitialized constant #{name}#{too(others)}", remedy(name))
          end
        end

        def too(others)
          return "" if others.empty?

          shown = others.first(Loading::SHOWN).map { |facts, line| facts.at(line) }
          shown << "#{others.size - Loading::SHOWN} more" if others.size > Loading::SHOWN
          "; #{shown.join(", ")} #{others.one? ? "needs" : "need"} it too"
        end

        def remedy(name)
          hint = Hints.of_name(name)
          return hint if hint
          return "tasker-rb has no #{name}." if OURS.include?(name[/\A\w+/])

          "Define it in a file below the handlers folder, or load what defines it with --require FILE."
        end

        def calls(facts)
          found = facts.calls.filter_map do |call|
            next if facts.guarded[call.name] || call.name.nil?

            message, hint, harmless = of_given(call) || of_ours(call) || of_active_support(call)
            message && [message, hint, harmless ? "warning" : "error", call.line]
          end
          found.group_by { |said| said.first(3) }.map do |(message, hint, severity), group|
            first, *others = group.map(&:last).uniq.sort
            Problem.new(facts.file, first, severity, message + again(others), hint)
          end
        end

        def again(lines)
          return "" if lines.empty?

          more = lines.size > Loading::SHOWN ? " and more" : ""
          "; again in #{lines.one? ? "line" : "lines"} #{lines.first(Loading::SHOWN).join(", ")}#{more}"
        end

        # Methods of what the host gives to a handler.
        def of_given(call)
          kind = call.object && handler?(call.owner) && object_class(call.object)
          return nil if !kind || kind.method_defined?(call.name) || Hints.certain.include?(call.name.to_sym)

          ["a #{call.object} has no method #{call.name}", AbsentNames.of_object(call.object, call.name) || "`tasker-rb docs handlers` says what a #{call.object} has."]
        end

        def object_class(object)
          case object
          when :task then Task
          when :sequence then Sequence
          when :step then Step
          when :context then ::TaskerCore::Types::StepContext if defined?(::TaskerCore::Types::StepContext)
          end
        end

        # Blocks of step_handler stand at the top.
        def handler?(owner)
          return true if owner.empty?

          found = @constants.module(owner)
          found.is_a?(Class) && (found <= StepHandler::Base || %i[process call handle].any? { |name| found.public_method_defined?(name) } ||
            (Execution::Entry.layer && found <= Execution::Entry.layer.base))
        end

        # Class methods of tasker-rb's own modules.
        def of_ours(call)
          return refused(call) unless call.receiver && call.receiver[0] == :const

          name = call.receiver[1].join("::")
          return nil unless OURS.include?(call.receiver[1].first)

          reason = AbsentNames::REFUSED["#{name}.#{call.name}"]
          return ["#{name}.#{call.name} always raises an error", "#{reason[0].upcase}#{reason[1..]}."] if reason

          found = @constants.find(call.receiver[1], false, call.nesting)
          return nil if !found.is_a?(Module) || found.respond_to?(call.name)

          ["#{name} has no method #{call.name}", AbsentNames.method(name, call.name) || "tasker-rb does not have this method of #{name}."]
        end

        # Methods of Tasker Core's base classes, which a handler calls on itself.
        def refused(call)
          return nil unless call.receiver.nil? && Execution::Entry.layer && REFUSED_IN_CLASS.include?(call.name) && !@methods[call.name]

          found = @constants.module(call.owner)
          return nil unless found.is_a?(Class) && found <= Execution::Entry.layer.base

          ["tasker-rb does not have #{call.name}", "`tasker-rb docs from-tasker-core` says what there is instead."]
        end

        def of_active_support(call)
          case call.receiver
          when nil then nil
          when [:number] then unless_there(1, call)
          when [:const, ["Time"]], [:const, ["Date"]], [:const, ["DateTime"]] then unless_there(CLOCKS.fetch(call.receiver[1].first), call)
          else somewhere(call)
          end
        end

        # task.context and config have some of them, and results have none.
        def somewhere(call)
          hint = Hints.of_unknown_method(call.name)
          return nil if hint.nil? || @methods[call.name] || Hints.there?(call.name) || owners_of(call.name)&.any? { |name| name.start_with?("ActiveSupport::") }
          return ["few objects have the method #{call.name}", hint, true] if !Context.method_defined?(call.name) && owners_of(call.name)
          return ["no object has the method #{call.name}", hint] unless Context.method_defined?(call.name)
          return ["results have no method #{call.name}", hint] if results?(call.receiver)

          ["only task.context and config have the method #{call.name}; other Hashes do not", hint, true] unless context?(call.receiver)
        end

        def results?(shape)
          shape = shape[1] while shape && shape[0] == :index
          shape && shape[0] == :call && %w[results get_results].include?(shape[2])
        end

        def context?(shape)
          shape = shape[1] while shape && (shape[0] == :index || (shape[0] == :call && shape[1] && !%w[context config handler_config inputs].include?(shape[2])))
          shape && (%w[context config].include?(shape[1]) || (shape[0] == :call && %w[context config handler_config inputs].include?(shape[2])))
        end

        def unless_there(receiver, call)
          return nil if receiver.respond_to?(call.name)

          hint = Hints.of_call(receiver, call.name) || Hints.of_unknown_method(call.name)
          ["#{receiver.is_a?(Module) ? receiver : "a number"} has no method #{call.name}", hint] if hint
        end

        # The names of the classes and modules of the process that have the method. What of
        # tasker-rb's own has one is not what handlers call.
        def owners_of(name)
          @owners ||= begin
            candidates = Hints.certain
            ObjectSpace.each_object(Module).with_object({}) do |mod, owners|
              owner = Module.instance_method(:name).bind_call(mod).to_s
              next if owner.start_with?("Tasker::")

              candidates.each { |candidate| (owners[candidate.name] ||= []) << owner if mod.method_defined?(candidate, false) }
            end
          end
          @owners[name]
        end
      end
    end
  end
end

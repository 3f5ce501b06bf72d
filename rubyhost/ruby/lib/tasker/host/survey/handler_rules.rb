# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # Whether the classes that the files define can run steps. To be asked when they are
      # loaded.
      class HandlerRules
        ENTRIES = %i[process call handle].freeze
        NAMED = %i[task sequence step context _task _sequence _step _context].freeze
        HINT = "`tasker-rb docs handlers` says what a handler has."
        PLACE = / \((.+?):(\d+)\)/m
        private_constant :ENTRIES, :NAMED, :HINT, :PLACE

        # @return [Integer] how many handlers there are
        attr_reader :count

        # @param constants [Constants]
        # @param all [Array<Facts>] of every file
        # @param loading [Loading] classes of files that are not loaded may be half there
        # @param uses [Array<String>] the handlers that templates name, as Class or
        #   Class#method
        def initialize(constants, all, loading, uses)
          @constants = constants
          @everything = all
          @all = all.reject { |facts| loading.failed[facts.file] }
          @files = all.to_h { |facts| [facts.file, true] }
          @by_method = uses.filter_map { |use| use.split("#", 2).first if use.include?("#") }.to_h { |name| [name, true] }
          @count = 0
        end

        # @return [Array<Problem>]
        def look
          blocks = registered
          seen = blocks.to_h { |handler_class, _| [handler_class, true] }.compare_by_identity
          found = @all.flat_map { |facts| facts.definitions.filter_map { |definition| in_file(facts, definition, seen) } }
          found + blocks.filter_map { |handler_class, place| check(handler_class, *Problem.place(place)) }
        end

        private

        # Handlers that registered themselves by a name.
        def registered
          registry = HandlerLoader::Registry
          registry.names.filter_map do |name|
            handler_class = registry.find(name)
            place = registry.place_of(handler_class)
            next unless @files[Problem.place(place).first]

            @count += 1
            [handler_class, place]
          rescue HandlerError
            @count += 1
            nil # two have this name, which was said
          end
        end

        def in_file(facts, definition, seen)
          found = definition.kind != :module && @constants.module(definition.name)
          return unless found.is_a?(Class) && !seen[found]

          seen[found] = true
          return look_alike(found, facts, definition) unless below_base?(found)
          return if found.include?(TaskHandler)

          @count += 1
          return missing(found, facts, definition) unless own?(found)

          check(found, facts.file, definition.line)
        end

        def below_base?(found) = bases.any? { |base| found < base }

        def bases = [StepHandler::Base, Execution::Entry.layer&.base].compact

        # Whether the class, or one between it and the base class, says what it does.
        def own?(found)
          ENTRIES.any? { |name| found.public_method_defined?(name) && !bases.include?(found.instance_method(name).owner) }
        end

        # A class that others inherit from need not say what it does. Templates may name
        # other methods than process.
        def missing(found, facts, definition)
          return nil if found.subclasses.any? || @by_method[definition.name]

          others = found.public_instance_methods(false).select { |name| step_like?(found.instance_method(name)) }
          return check(found, facts.file, definition.line) if others.empty?

          Problem.warning(facts.file, definition.line, "#{definition.name} has no #{wanted(found)}: a template has to name the method (#{others.first(5).join(", ")})",
                          "Write it as handler_method: in the step, or as method: of its handler.")
        end

        def wanted(found)
          Execution::Entry.layer && found <= Execution::Entry.layer.base ? "method call" : "method process"
        end

        def step_like?(method)
          kinds = method.parameters.map(&:first)
          required = kinds.count(:req)
          !kinds.include?(:keyreq) && (required == 3 || (required == 1 && !Execution::Entry.layer.nil?))
        end

        # A class below no base class may handle steps too. The names of its parameters tell,
        # or that no other code calls its process.
        def look_alike(found, facts, definition)
          name = ENTRIES.find { |entry| found.public_method_defined?(entry) && @files[found.instance_method(entry).source_location&.first] }
          return nil unless name && !found.include?(TaskHandler)
          return nil unless found.instance_method(name).parameters.any? { |_, parameter| NAMED.include?(parameter) } ||
                            (name == :process && several?(found.instance_method(name)) && !helpers[found])

          @count += 1
          problem = check(found, facts.file, definition.line)
          problem&.severity = "warning"
          problem
        end

        # Whether the method takes several arguments, as that of a handler does.
        def several?(method)
          kinds = method.parameters.map(&:first)
          kinds.count(:req) + kinds.count(:opt) > 1 && !kinds.include?(:keyreq)
        end

        # @return [Hash{Class => true}] the classes that code outside of them names
        def helpers
          @helpers ||= @everything.flat_map(&:constants).uniq { |constant| constant.to_a.first(3) }
                                  .each_with_object({}.compare_by_identity) { |constant, named| note(constant, named) }
        end

        def note(constant, named)
          around = constant.nesting.map { |name| @constants.module(name) }
          1.upto(constant.path.size) do |size|
            found = @constants.find(constant.path.first(size), constant.absolute, constant.nesting)
            named[found] = true if Class === found && around.none? { |mod| mod.equal?(found) }
          end
        end

        # @return [Problem, nil]
        def check(found, file, line)
          Execution.check(found)
          nil
        rescue HandlerError => e
          message, hint = Problem.text(e.message).split("; ", 2)
          places = message.scan(PLACE).select { |at, _| @files[at] }
          places.each { |at, number| message = message.sub(" (#{at}:#{number})", "") }
          Problem.error(*(places.last || [file, line]), message, hint ? "#{hint[0].upcase}#{hint[1..]}." : HINT)
        rescue StandardError, ScriptError => e
          Problem.error(file, line, "#{found} cannot be examined: #{e.class}: #{e.message}")
        end
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # Finds constants as Ruby would when the code around them runs.
      class Constants
        # A constant that only a file that was not loaded defines.
        UNLOADED = Object.new

        # @param known [Hash{String => Object}] the constants that the files define
        def initialize(known)
          @known = known
          @found = {}
          @hooked = Module.instance_method(:const_missing).owner != Module
        end

        # @param path [Array<String>]
        # @param absolute [Boolean]
        # @param nesting [Array<String>] the names of the modules around it, the innermost
        #   first
        # @return [Object, nil] the value; UNLOADED; nil when there is none
        def find(path, absolute, nesting)
          return UNLOADED if @hooked

          key = [path, absolute, nesting]
          @found.fetch(key) { @found[key] = look_up(path, absolute, nesting) }
        end

        # @param name [String]
        # @return [Module, nil]
        def module(name)
          found = name.split("::").reduce(Object) { |at, part| at.is_a?(Module) ? member(at, part, at.equal?(Object))[1] : (return nil) }
          found if found.is_a?(Module)
        end

        private

        def look_up(path, absolute, nesting)
          first, *rest = path
          scope, value = absolute ? top(first) : lexical(first, nesting)
          return nil if scope.nil?

          rest.each do |name|
            return value if value.equal?(UNLOADED) || !value.is_a?(Module)

            scope, value = member(value, name)
            return nil if scope.nil?
          end
          value
        end

        def lexical(name, nesting)
          nesting.each do |around|
            return [around, UNLOADED] if @known.key?("#{around}::#{name}") && !(mod = self.module(around))&.const_defined?(name, false)

            mod ||= self.module(around)
            return member(mod, name) if mod&.const_defined?(name, false)
          end
          inner = nesting.first && self.module(nesting.first)
          return [nesting.first, UNLOADED] if nesting.first && inner.nil? # its superclass is not known
          return member(inner, name) if inner && ancestral?(inner, name)

          top(name)
        end

        def top(name)
          return member(Object, name, true) if Object.const_defined?(name)
          return ["", UNLOADED] if @known.key?(name)

          nil
        end

        def ancestral?(mod, name)
          singular?(mod) || mod.const_defined?(name, false) || (mod.ancestors - Object.ancestors).any? { |a| a.const_defined?(name, false) }
        end

        # A module that finds missing constants in a way of its own has all of them.
        def singular?(mod)
          mod.method(:const_missing).owner != Module
        rescue NameError
          true
        end

        def member(mod, name, top = false)
          return [mod, mod.const_get(name)] if top ? Object.const_defined?(name) : ancestral?(mod, name) && mod.const_defined?(name)
          return [mod, UNLOADED] if singular?(mod) || @known.key?("#{Module.instance_method(:name).bind_call(mod)}::#{name}")

          [nil, nil]
        rescue StandardError, ScriptError
          [mod, UNLOADED] # an autoload that cannot be loaded says so when it is
        end
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module Execution
    # Finds the method that runs the steps of a class, and words why there is none.
    #
    # @api private
    class Finder
      # @param handler_class [Class]
      def initialize(handler_class)
        @class = handler_class
        @layer = Entry.layer
      end

      # @param method [String, nil] the method that the template names
      # @return [Entry, Symbol]
      # @raise [HandlerError]
      def find(method)
        refusal = @layer&.refusal(@class)
        raise HandlerError, "#{@class}#{place} #{refusal}" if refusal

        method ? named(method.to_sym) : entry(default || missing)
      end

      private

      # The method of a class whose template names none. The layer's classes have call
      # first: their process is one of several methods, which a template may name.
      def default
        return first_of(%i[call process handle]) if layered?
        return first_of(%i[process handle]) if @class <= StepHandler::Base

        first_of(@layer ? %i[process call handle] : %i[process handle])
      end

      # The first name that is the class's own. What runs with each step uses none of the
      # methods of Array that a handler may have replaced; the same holds for parameters.
      def first_of(names)
        i = 0
        i += 1 until i == names.size || own?(names[i])
        names[i]
      end

      def named(name)
        unless @class.public_method_defined?(name)
          raise HandlerError, "#{@class}#{place} has no public method #{name}, which the template names as the handler's method" \
                              "#{suggestion(near(name, @class.public_instance_methods(false)))}"
        end
        return Entry::STANDARD if name == :handle && !own?(name)

        own?(name) ? entry(name) : missing
      end

      def entry(name)
        if three?(name)
          return Entry::STANDARD if name == :process && @class <= StepHandler::Base

          return Entry.new(name, context: false, unwrap: !@layer.nil? && !%i[process handle].include?(name))
        end
        return Entry.new(name, context: true, unwrap: true) if one?(name) && context_allowed?(name)

        refuse(name)
      end

      # Whether the class is below the layer's base class.
      def layered?
        @layer && @class <= @layer.base
      end

      # Whether the method is public, and not only one of our base classes'.
      def own?(name)
        @class.public_method_defined?(name) && ![StepHandler::Base, @layer&.base].include?(@class.instance_method(name).owner)
      end

      # A process below our own base class is called by its handle, with three arguments.
      def context_allowed?(name)
        @layer && (name != :process || layered? || !(@class <= StepHandler::Base))
      end

      def parameters(name)
        list = @class.instance_method(name).parameters
        Array.new(list.size) { |i| list[i][0] }
      end

      def three?(name)
        kinds = parameters(name)
        required = kinds.count(:req)
        return false if required > 3 || kinds.include?(:keyreq)

        kinds.include?(:rest) || required + kinds.count(:opt) >= 3
      end

      def one?(name)
        kinds = parameters(name)
        kinds.count(:req) <= 1 && kinds.count(:req) + kinds.count(:opt) >= 1 && !kinds.include?(:keyreq)
      end

      def refuse(name)
        method = @class.instance_method(name)
        takes = "#{"1 argument, the context, or " if context_allowed?(name)}3 arguments, task, sequence and step"
        where = method.source_location&.join(":")
        hint = '; for methods that take one context there is require "tasker/compat/tasker_core"' if one?(name) && !@layer
        raise HandlerError, "#{@class}##{name} has to take #{takes}#{", not #{method.arity}" if method.arity >= 0}" \
                            "#{" (#{where})" if where}#{hint}"
      end

      def missing
        wanted = layered? ? "call(context)" : "process(task, sequence, step)"
        hint = hint(layered? ? :call : :process)
        lacks = @class <= StepHandler::Base && !hint ? "does not say what #{wanted} does" : "has no public method #{wanted}"
        raise HandlerError, "#{@class}#{place} #{lacks}#{hint}"
      end

      def hint(wanted)
        if @class.private_method_defined?(wanted) || @class.protected_method_defined?(wanted)
          "; the one it has is not public"
        elsif wanted == :process && @class.public_method_defined?(:call)
          '; for classes with a method call there is require "tasker/compat/tasker_core"'
        elsif @class.singleton_methods(false).include?(wanted)
          "; the one it has is of the class itself, self.#{wanted}"
        else
          suggestion(near(wanted, @class.public_instance_methods(false)))
        end
      end

      def suggestion(name)
        "; did you mean #{name}?" if name
      end

      def near(wanted, names)
        require "did_you_mean" unless defined?(DidYouMean::Levenshtein)
        names.find { |name| DidYouMean::Levenshtein.distance(name.to_s, wanted.to_s) <= 2 }
      rescue LoadError
        nil
      end

      def place
        place = Entry.place_of(@class)
        " (#{place})" if place
      end
    end
  end
end

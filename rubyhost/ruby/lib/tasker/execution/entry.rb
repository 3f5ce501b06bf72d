# frozen_string_literal: true

module Tasker
  module Execution
    # How the steps of a class are run: by which method, and with which arguments.
    # This is found out once for each class and method, when the class is checked.
    #
    # A method takes the task, the sequence and the step, or one context. The context
    # is an object of the compatibility layer; without that layer every method takes
    # three arguments.
    #
    # @api private
    class Entry
      # The steps of a class below {StepHandler::Base} are run by its own +handle+.
      STANDARD = :standard

      # Every change is one operation on the Hash, so no lock is needed.
      KNOWN = {}.compare_by_identity
      private_constant :KNOWN

      @layer = nil

      class << self
        # The compatibility layer, once it is loaded: see TaskerCore::Layer.
        #
        # @return [Module, nil]
        attr_reader :layer

        # @param layer [Module]
        def layer=(layer)
          @layer = layer
          forget
        end

        # @param handler_class [Class]
        # @param method [String, nil] the method that the template names
        # @return [Entry, Symbol] or {STANDARD}
        # @raise [HandlerError] when the class cannot run steps that way
        def of(handler_class, method = nil)
          known = KNOWN[handler_class] ||= {}
          known[method] ||= Finder.new(handler_class).find(method)
        end

        # @return [nil]
        def forget
          KNOWN.clear
          nil
        end

        # @param handler_class [Class]
        # @return [String, nil] where it is defined, as file:line
        def place_of(handler_class)
          registered = HandlerLoader::Registry.place_of(handler_class)
          return registered if registered

          place = handler_class.name && Object.const_source_location(handler_class.name)
          place.join(":") if place && !place.empty?
        end
      end

      # @return [Symbol]
      attr_reader :name

      # @param name [Symbol] of the method
      # @param context [Boolean] whether it takes a context, instead of three arguments
      # @param unwrap [Boolean] whether the layer's results may come back
      def initialize(name, context:, unwrap:)
        @name = name
        @context = context
        @unwrap = unwrap
      end

      # @return [Boolean]
      def context? = @context

      # @return [Object] what the method returned; of a result of the layer, what is in it
      def call(handler, task, sequence, step)
        output = if @context
                   handler.public_send(@name, Entry.layer.context(sequence))
                 else
                   handler.public_send(@name, task, sequence, step)
                 end
        @unwrap ? Entry.layer.unwrap(output) : output
      end
    end
  end
end

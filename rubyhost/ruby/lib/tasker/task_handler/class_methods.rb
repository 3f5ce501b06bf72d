# frozen_string_literal: true

module Tasker
  module TaskHandler
    # The methods of a task handler's class.
    module ClassMethods
      # Makes the class known to {HandlerFactory}.
      #
      # @param name [String, Symbol] of the task
      # @param namespace_name [String, Symbol]
      # @param version [String]
      # @return [true]
      def register_handler(name, namespace_name: "default", version: "0.1.0", **)
        HandlerFactory.instance.register(name, self, namespace_name: namespace_name, version: version, replace: true)
      end

      # @yieldparam definer [StepTemplateDefiner]
      # @return [nil]
      def define_step_templates
        definer = StepTemplateDefiner.new(self)
        yield definer
        templates = definer.step_templates
        define_method(:step_templates) { templates }
        nil
      end

      private

      # A class that is reopened may have other hooks.
      #
      # @api private
      def method_added(name)
        super
        TaskHandler.forget if %i[establish_step_dependencies_and_defaults update_annotations schema].include?(name)
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module TaskHandler
    # A step, as {ClassMethods#define_step_templates} defines it. It changes nothing about a
    # task: the steps of a task are those of its template.
    StepTemplate = Struct.new(:name, :handler_class, :description, :dependent_system, :default_retryable, :default_retry_limit, :skippable,
                              :handler_config, :depends_on_step, :depends_on_steps, :custom_events, keyword_init: true) do
      # @param facts [Hash] name: and handler_class: are needed; unknown ones are left out
      def initialize(**facts)
        missing = %i[name handler_class].find { |fact| facts[fact].nil? }
        raise ArgumentError, "a step template needs #{missing}:" if missing

        name = facts[:name].to_s
        super(description: name, dependent_system: "unknown", default_retryable: true, default_retry_limit: 3, skippable: false,
              depends_on_steps: [], custom_events: [], **facts.slice(*self.class.members), name: name)
        self.depends_on_step &&= depends_on_step.to_s
        self.depends_on_steps = Array(depends_on_steps).map(&:to_s)
      end

      # @return [Array<String>] the steps that it depends on
      def all_dependencies
        [depends_on_step, *depends_on_steps].compact.uniq
      end
    end

    # Collects the steps of a task handler.
    class StepTemplateDefiner
      # @return [Array<StepTemplate>]
      attr_reader :step_templates
      # @return [Class, nil] the task handler
      attr_reader :klass

      # @param klass [Class, nil]
      def initialize(klass = nil)
        @klass = klass
        @step_templates = []
      end

      # @param facts [Hash] of {StepTemplate}; name: and handler_class: are needed
      # @return [StepTemplate]
      def define(**facts)
        unknown = facts.keys - StepTemplate.members
        raise ArgumentError, "a step template has no #{unknown.first}: its keys are #{StepTemplate.members.join(", ")}" if unknown.any?

        @step_templates << StepTemplate.new(**facts)
        @step_templates.last
      end
    end
  end

  # The names of tasker-engine.
  StepTemplate = TaskHandler::StepTemplate

  module Types
    StepTemplate = TaskHandler::StepTemplate
  end
end

# frozen_string_literal: true

module Tasker
  module TaskHandler
    # What every task handler has. The hooks do nothing until a class defines them.
    module InstanceMethods
      # Called before the handler of each attempt of each step.
      #
      # @param _task [Task] a change of its context is seen by the step's handler
      # @param _steps [Array<Step>] all of the task
      # @return [void]
      def establish_step_dependencies_and_defaults(_task, _steps) = nil

      # Called when a step's handler has returned.
      #
      # @param _task [Task]
      # @param _sequence [Sequence]
      # @param _steps [Array<Step>] those that were handled since the last call: one
      # @return [void]
      def update_annotations(_task, _sequence, _steps) = nil

      # @return [Hash, nil] the JSON schema of the context
      def schema = nil

      # @return [Array<StepTemplate>] those of define_step_templates
      def step_templates = []

      # @return [Hash{String => String}] the handler's class of each step
      def step_handler_class_map = step_templates.to_h { |template| [template.name, template.handler_class.to_s] }

      # @return [Hash{String => Object}] the handler_config of each step
      def step_handler_config_map = step_templates.to_h { |template| [template.name, template.handler_config] }

      # @param step [Step]
      # @return [Object] a new handler of the step
      # @raise [ProceduralError] when define_step_templates has no such step
      def get_step_handler(step)
        name = step_handler_class_map.fetch(step.name) { raise ProceduralError, "#{self.class} defines no step #{step.name}" }
        config = step_handler_config_map[step.name]
        handler_class = Object.const_get(name)
        config.nil? ? handler_class.new : handler_class.new(config: config)
      end

      # tasker-engine's own operations, which are the host's here.
      { initialize_task!: "submit it with tasker-rb submit", start_task: "tasker-rb worker starts tasks", handle: "tasker-rb worker runs tasks",
        handle_one_step: "Tasker::Testing.run runs one handler", get_sequence: "a step's handler is given it" }.each do |name, instead|
        define_method(name) { |*| raise ProceduralError, "#{self.class}##{name} is not possible here: #{instead}" }
      end
    end
  end
end

# frozen_string_literal: true

module TaskerCore
  module Types
    # Everything that a handler's +call(context)+ is given.
    #
    # @example
    #   def call(context)
    #     total = context.get_dependency_field("validate_order", "total_cents")
    #     success(result: { charged: charge(context.get_input("card"), total) })
    #   end
    class StepContext
      # @return [Tasker::Task]
      attr_reader :task
      # @return [Tasker::Step]
      attr_reader :workflow_step
      # @return [Models::DependencyResultsWrapper]
      attr_reader :dependency_results
      # @return [Models::StepDefinitionWrapper]
      attr_reader :step_definition
      # @return [String] as the template names it
      attr_reader :handler_name

      # @param sequence [Tasker::Sequence] such as {Tasker::Testing.sequence} makes
      # @param handler_name [String, nil]
      def initialize(sequence, handler_name: nil)
        @task = sequence.task
        @workflow_step = sequence.current_step
        @dependency_results = sequence.dependency_results
        @step_definition = Models::StepDefinitionWrapper.new(@workflow_step, sequence)
        @handler_name = handler_name || @workflow_step.handler_class
      end

      # @return [String]
      def task_uuid = task.task_uuid

      # @return [String]
      def step_uuid = workflow_step.workflow_step_uuid

      # @return [String]
      def step_name = workflow_step.name

      # @return [String]
      def namespace_name = task.namespace_name

      # @return [Tasker::Context] the task's
      def context = task.context

      # @return [Tasker::Context] a copy of the task's context
      def input_data = workflow_step.inputs
      alias step_inputs input_data

      # @return [Tasker::Context] the handler's config
      def step_config = step_definition.handler.initialization

      # @return [Integer] how many attempts there were before this one
      def retry_count = [workflow_step.attempts - 1, 0].max

      # @return [Integer] how many attempts there may be in all
      def max_retries = workflow_step.retry_limit

      # @return [Boolean]
      def retryable? = workflow_step.retryable

      # @return [Boolean] whether this is not the first attempt
      def is_retry? = retry_count.positive? # rubocop:disable Naming/PredicateName

      # @return [Boolean] whether there is no attempt after this one
      def is_last_retry? = retry_count >= max_retries - 1 # rubocop:disable Naming/PredicateName

      # @param name [String, Symbol]
      # @return [Object, nil] from the task's context
      def get_input(name) = task.context[name.to_s]
      alias get_task_field get_input

      # @param name [String, Symbol]
      # @param default [Object]
      # @return [Object] the default when there is none
      def get_input_or(name, default = nil)
        value = get_input(name)
        value.nil? ? default : value
      end

      # @param key [String, Symbol]
      # @return [Object, nil] from the handler's config
      def get_config(key) = step_config[key.to_s]

      # @param name [String, Symbol] of a step that this one depends on, directly or not
      # @return [Object, nil] what that step returned, with every Hash in it a
      #   {Tasker::Context}
      def get_dependency_result(name) = dependency_results.get_results(name)

      # @param name [String, Symbol]
      # @param path [Array<String, Symbol, Integer>]
      # @return [Object, nil] what is at that path of the step's results
      def get_dependency_field(name, *path)
        result = get_dependency_result(name)
        return nil if result.nil?

        path.reduce(result) { |at, key| at.nil? ? nil : at.dig(at.is_a?(Array) ? Integer(key) : key.to_s) }
      end

      # A step has no checkpoint here, so each attempt begins at the start.
      #
      # @return [nil]
      def checkpoint = nil
      alias checkpoint_cursor checkpoint
      alias accumulated_results checkpoint

      # @return [Integer]
      def checkpoint_items_processed = 0

      # @return [Boolean]
      def has_checkpoint? = false # rubocop:disable Naming/PredicateName

      # @return [String]
      def inspect
        "#<#{self.class} task_uuid=#{task_uuid} step_uuid=#{step_uuid} step_name=#{step_name}>"
      end
      alias to_s inspect
    end
  end
end

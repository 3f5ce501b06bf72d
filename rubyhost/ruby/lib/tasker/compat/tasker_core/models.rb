# frozen_string_literal: true

module TaskerCore
  # The names that Tasker Core gives to a task, a step and what is around them.
  module Models
    # The ids of Tasker Core are UUIDs, and those of tasker-rb are numbers. A UUID here
    # is made of the number, so it is the same in each attempt.
    #
    # @api private
    module UUID
      class << self
        # @return [String, nil]
        def of_task(id) = id && format("00000000-0000-8000-8000-%012x", id)

        # @return [String, nil]
        def of_step(id) = id && format("00000000-0000-8000-8001-%012x", id)
      end
    end

    # The additional methods of {Tasker::Task}.
    module TaskWrapper
      # @return [String]
      def task_uuid = UUID.of_task(task_id)

      # @return [String]
      def task_name = name

      # @return [String]
      def task_version = version
    end

    # The additional methods of {Tasker::Step}.
    module WorkflowStepWrapper
      # @return [String]
      def workflow_step_uuid = UUID.of_step(workflow_step_id)
      alias named_step_uuid workflow_step_uuid

      # @return [String]
      def task_uuid = UUID.of_task(task_id)

      # @return [String]
      def step_name = name

      # @return [Integer]
      def max_attempts = retry_limit

      # @return [nil] steps have no checkpoints here
      def checkpoint = nil
    end

    # The additional methods of {Tasker::Sequence}: results that can be read with Symbols.
    module TaskSequenceStepWrapper
      # @param name [String, Symbol]
      # @return [Object, nil] the step's results, with every Hash in them a {Tasker::Context}
      def get_results(name)
        results = super
        return results unless results.is_a?(Hash) || results.is_a?(Array)

        @indifferent ||= {}
        kept, wrapped = @indifferent[name.to_s]
        return wrapped if kept.equal?(results)

        (@indifferent[name.to_s] = [results, Tasker::Context.wrap(results)]).last
      end
      alias get_dependency_result get_results

      # @param name [String, Symbol]
      # @return [Hash, nil] the step's results, under the key "result"
      def get(name)
        step = find_step_by_name(name)
        step && { "result" => get_results(name) }
      end

      # @param field [String, Symbol]
      # @return [Object, nil] from the task's context
      def get_task_field(field) = task.context[field]

      # @return [Tasker::Step]
      def workflow_step = current_step

      # @return [DependencyResultsWrapper]
      def dependency_results = @dependency_results ||= DependencyResultsWrapper.new(self)
    end

    # The results of the steps that the running step depends on, directly or not.
    class DependencyResultsWrapper
      # @param sequence [Tasker::Sequence]
      def initialize(sequence)
        @sequence = sequence
        @values = {}
      end

      # @param name [String, Symbol]
      # @return [Object, nil] what the step returned; nil when the running step does not
      #   depend on it, or it is not done
      def get_results(name)
        result = find(name.to_s)
        result && result["result"]
      end

      # @param name [String, Symbol]
      # @return [Tasker::Context, nil] the same under the key "result", with "success" and
      #   "metadata"
      def get_result(name) = find(name.to_s)
      alias [] get_result

      # @return [Array<String>]
      def keys = ancestors(@sequence.current_step).select { |name| find(name) }

      # @param name [String, Symbol]
      def key?(name) = !find(name.to_s).nil?

      # @yieldparam name [String]
      def each_key(&block) = keys.each(&block)

      private

      def find(name)
        return @values[name] if @values.key?(name)

        @values[name] = read(name)
      end

      def read(name)
        results = @sequence.results_of(name) { return nil }
        Tasker::Context.new("result" => results, "success" => true, "metadata" => {})
      end

      def ancestors(step)
        found = {}
        open = step.parents
        until open.empty?
          parent = open.shift
          next if found.key?(parent.name)

          found[parent.name] = true
          open.concat(parent.parents)
        end
        found.keys
      end
    end

    # What the template says of the running step's handler.
    class HandlerWrapper
      # @param step [Tasker::Step]
      # @param sequence [Tasker::Sequence]
      def initialize(step, sequence)
        @step = step
        @sequence = sequence
      end

      # @return [String]
      def callable = @step.handler_class

      # @return [Tasker::Context] the handler's config
      def initialization = @sequence.handler_config

      # @return [String, nil]
      def handler_method = @sequence.handler_method

      # @return [nil] a template cannot choose how a handler is found
      def resolver = nil
    end

    # What the template says of the running step.
    class StepDefinitionWrapper
      # @return [HandlerWrapper]
      attr_reader :handler

      # @param step [Tasker::Step]
      # @param sequence [Tasker::Sequence]
      def initialize(step, sequence)
        @step = step
        @sequence = sequence
        @handler = HandlerWrapper.new(step, sequence)
      end

      # @return [String]
      def name = @step.name

      # @return [String, nil]
      def description = @step.description

      # @return [Array<String>] the steps that this one depends on directly
      def dependencies = @step.parent_names

      # @return [Tasker::Context]
      def retry = Tasker::Context.new(retryable: @step.retryable, max_attempts: @step.retry_limit)

      # @return [nil] the host keeps the time itself
      def timeout_seconds = nil

      # @return [Array<Tasker::Context>] the events that the template declares
      def publishes_events = @sequence.published_events.to_a.map { |event| Tasker::Context.wrap(event) }
    end

    Tasker::Task.include(TaskWrapper)
    Tasker::Step.include(WorkflowStepWrapper)
    Tasker::Sequence.prepend(TaskSequenceStepWrapper)
  end
end

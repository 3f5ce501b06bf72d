# frozen_string_literal: true

module Tasker
  module Events
    # The events that tasker-engine has names for: who publishes each of them here, or why
    # nobody does.
    #
    # @api private
    module Names
      # One event.
      #
      # @!attribute source [Symbol] :step when the step's thread publishes it, :engine when the
      #   engine tells of it, :never, or :mistaken for a name that tasker-engine has not
      # @!attribute kind [String, nil] what the engine calls it
      # @!attribute states [Array<String>, nil] of the task, when they matter
      # @!attribute description [String] when it comes, or why it never does
      # @!attribute facts [Symbol, nil] which facts it has; see {EventPayloadBuilder::FACTS}
      # @!attribute instead [String, nil] what to use instead
      Entry = Struct.new(:name, :source, :kind, :states, :description, :facts, :instead, keyword_init: true) do
        def category = name.split(".").first
      end

      @table = {}

      class << self
        # @return [Hash{String => Entry}] by name
        attr_reader :table

        # @return [Array<Entry>] those that this process publishes by itself
        def published = @table.each_value.select { |entry| %i[step engine].include?(entry.source) }

        # @return [Array<String>] those that tasker-engine has constants for
        def with_constants = @table.each_value.reject { |entry| entry.source == :mistaken }.map(&:name)

        # @param kind [String] what the engine calls it
        # @param state [String] of the task
        # @return [Array<Entry>]
        def of(kind, state)
          @by_kind.fetch(kind, []).select { |entry| entry.states.nil? || entry.states.include?(state) }
        end

        # @return [Array<String>] the kinds of the engine's events
        def kinds = @by_kind.keys

        # @return [Hash{String => Array<Entry>}]
        attr_reader :by_kind

        # @return [Array<String>] of the events that a step's thread publishes
        attr_reader :of_steps

        # The name under which an event is published.
        #
        # @param name [String, Symbol]
        # @return [String]
        def canonical(name)
          name = name.to_s.delete_prefix("custom.")
          @aliases.fetch(name, name)
        end

        private

        def steps(name, facts, description)
          add(name: name, source: :step, facts: facts, description: description)
        end

        def engine(name, kind, facts, description, states: nil)
          add(name: name, source: :engine, kind: kind, facts: facts, description: description, states: states)
        end

        def never(name, why, instead: nil)
          add(name: name, source: :never, description: why, instead: instead)
        end

        def mistaken(name, instead)
          add(name: name, source: :mistaken, description: "tasker-engine has no such event", instead: instead)
        end

        def add(**fields)
          entry = Entry.new(**fields)
          @table[entry.name] = entry.freeze
        end

        def finish
          @table.freeze
          @by_kind = @table.each_value.select(&:kind).group_by(&:kind).freeze
          @of_steps = @table.each_value.select { |entry| entry.source == :step }.map(&:name).freeze
          short = @table.each_key.to_h { |name| [name.tr(".", "_"), name] }
          @aliases = short.merge("step.started" => "step.execution_requested", "step_started" => "step.execution_requested",
                                 "task.started" => "task.start_requested", "task_started" => "task.start_requested").freeze
        end
      end

      operator = "an operator does it with `tasker-rb tasks`, in another process"
      submitted = "the program that submits a task creates it, and runs no handlers"
      queue = "a task stays in its queue until it has ended"
      registry = "classes are found by their names, and nothing is registered"

      steps "step.execution_requested", :started, "an attempt begins"
      steps "step.before_handle", :step, "the handler is about to be called"
      steps "step.completed", :step_completed, "the handler has returned; its results are not stored yet"
      steps "step.failed", :step_failed, "the handler has raised; whether the step is tried again is not decided yet"
      engine "step.retry_requested", "step_retrying", :retry, "an attempt failed, and the step waits for the next one"
      engine "step.cancelled", "step_cancelled", :step, "an operator cancelled the step while this process handled its task"
      never "step.initialize_requested", submitted, instead: "step.execution_requested"
      never "step.handle", "tasker-engine does not publish it either", instead: "step.before_handle"
      never "step.resolved_manually", operator
      never "step.before_transition", "no Ruby code decides about a transition", instead: "step.execution_requested"

      engine "task.start_requested", "task_started", :task_started, "the task begins"
      engine "task.completed", "task_ended", :task, "the task is complete", states: %w[complete]
      engine "task.failed", "task_ended", :task_failed, "the task has ended in error", states: %w[error]
      engine "task.cancelled", "task_ended", :task, "the task is cancelled, and this process handled it", states: %w[cancelled]
      never "task.resolved_manually", operator
      never "task.initialize_requested", submitted, instead: "task.start_requested"
      never "task.retry_requested", operator, instead: "step.execution_requested"
      never "task.before_transition", "no Ruby code decides about a transition", instead: "task.start_requested"

      engine "workflow.task_started", "task_started", :task_started, "the same as task.start_requested"
      engine "workflow.task_completed", "task_ended", :task, "the same as task.completed", states: %w[complete]
      engine "workflow.task_failed", "task_ended", :task_failed, "the same as task.failed", states: %w[error]
      engine "workflow.step_completed", "step_completed", :step_outcome, "a step's results are stored"
      engine "workflow.step_failed", "step_failed", :step_outcome, "a step has failed, and is not tried again"
      engine "workflow.step_execution_failed", "step_retrying", :step_outcome, "an attempt failed, and the step waits for the next one"
      engine "workflow.viable_steps_discovered", "step_started", :steps, "a step starts; each comes alone, as soon as it can run"
      engine "workflow.steps_execution_started", "step_started", :steps, "a step starts; each comes alone"
      engine "workflow.steps_execution_completed", "step_completed", :steps_done, "a step's results are stored; each comes alone"
      engine "workflow.no_viable_steps", "task_waiting", :waiting, "no step can run now; the task waits"
      engine "workflow.task_reenqueue_delayed", "task_waiting", :waiting, "the same as workflow.no_viable_steps"
      engine "workflow.task_finalization_completed", "task_ended", :finalized, "the task has ended, however it did"
      never "workflow.task_finalization_started", "the end of a task is one statement", instead: "workflow.task_finalization_completed"
      never "workflow.viable_steps_batch_ready", "each step starts alone", instead: "workflow.viable_steps_discovered"
      never "workflow.orchestration_requested", queue, instead: "task.start_requested"
      never "workflow.task_reenqueue_started", queue, instead: "workflow.task_reenqueue_delayed"
      never "workflow.task_reenqueue_requested", queue, instead: "workflow.task_reenqueue_delayed"
      never "workflow.task_reenqueue_failed", queue, instead: "workflow.task_reenqueue_delayed"
      never "workflow.task_state_unclear", "the engine knows the state of every task", instead: "workflow.task_finalization_completed"

      engine "observability.task.handle", "task_started", :task_started, "the same as task.start_requested"
      engine "observability.task.finalize", "task_ended", :finalized, "the task has ended, however it did"
      engine "observability.step.backoff", "step_retrying", :retry, "the same as step.retry_requested"
      engine "observability.step.max_retries_reached", "step_failed", :step_outcome, "a step has failed, and used up its attempts"
      never "observability.task.enqueue", submitted, instead: "task.start_requested"
      never "observability.step.handle", "tasker-engine does not publish it either", instead: "step.before_handle"
      never "observability.step.find_viable", "tasker-engine does not publish it either", instead: "workflow.viable_steps_discovered"
      never "observability.step.skip", "no step is skipped"

      %w[handler plugin subscriber].product(%w[registered unregistered validation_failed]) { |who, what| never "#{who}.#{what}", registry }
      %w[sync_requested health_check stats_collected cross_discovery coordination_complete].each { |what| never "registry.#{what}", registry }

      mistaken "step.max_retries_reached", "observability.step.max_retries_reached"
      mistaken "workflow.completed", "task.completed"
      mistaken "workflow.failed", "task.failed"
      mistaken "workflow.error", "task.failed"
      finish
    end
  end
end

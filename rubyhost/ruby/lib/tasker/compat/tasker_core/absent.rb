# frozen_string_literal: true

module TaskerCore
  # What tasker-rb does not do: steps that are made at run time. The names are here, so
  # that a folder with such handlers can be loaded and its other handlers run. A template
  # that uses one of these is refused.
  module Absent
    # A handler called for what tasker-rb does not do.
    class UnsupportedError < Errors::PermanentError
      def initialize(message = nil, **options)
        super(message, error_code: "UNSUPPORTED", **options)
      end
    end

    REASONS = {
      Decision: "is a decision point, and tasker-rb makes no steps at run time; let each branch be a step that does nothing " \
                "unless it is its turn",
      Batchable: "is part of a batch, and tasker-rb makes no steps at run time; let one step do the whole work, or write a step for each part"
    }.freeze
    private_constant :REASONS

    class << self
      # @param handler_class [Class]
      # @return [String, nil] why a template cannot use it
      def refusal(handler_class)
        REASONS.each { |name, reason| return reason if handler_class.include?(StepHandler::Mixins.const_get(name)) }
        nil
      end

      # Defines methods that refuse to work.
      #
      # @api private
      def refuse(mixin, reason, *names)
        names.each do |name|
          mixin.define_method(name) { |*, **| raise UnsupportedError, "#{name} is not possible: #{reason}" }
        end
      end
    end
  end

  module StepHandler
    # What classes include for more methods.
    module Mixins
      # For decision points, which are refused.
      module Decision
        Absent.refuse(self, "tasker-rb makes no steps at run time",
                      :decision_success, :decision_no_branches, :skip_branches, :decision_with_custom_outcome, :validate_decision_outcome!)
      end

      # For batches, which are refused.
      module Batchable
        Absent.refuse(self, "tasker-rb makes no steps at run time",
                      :get_batch_context, :detect_aggregation_scenario, :handle_no_op_worker, :create_cursor_configs, :no_batches_outcome,
                      :create_batches_outcome, :batch_worker_success, :checkpoint_yield, :no_batches_aggregation_result,
                      :aggregate_batch_worker_results)
      end
    end

    # The base class of decision points, which are refused.
    class Decision < Base
      include Mixins::Decision
    end

    # The base class of the handlers of batches, which are refused.
    class Batchable < Base
      include Mixins::Batchable
    end
  end

  # Holds the base class of task handlers.
  module TaskHandler
    # The early gem's task handlers. They have no hooks, unless a class defines those of
    # tasker-engine.
    class Base
      # @return [Logger]
      attr_reader :logger
      # @return [Hash, nil]
      attr_reader :task_config

      def initialize(task_config_path: nil, task_config: nil)
        @logger = Logger.instance
        @task_config = task_config || (task_config_path && load_task_config(task_config_path))
      end

      private

      def load_task_config(path)
        require "yaml"
        YAML.safe_load_file(path, aliases: true)
      end
    end
  end
end

# frozen_string_literal: true

require "tasker"
require "tasker/execution"

module Tasker
  module Testing
    class << self
      # Runs a handler as the host would, but without a host and without a database.
      #
      # @example
      #   results = Tasker::Testing.run(
      #     ChargePayment,
      #     context: { order_id: 7 },
      #     results: { "validate_order" => { total_cents: 1299 } }
      #   )
      #   assert_equal 1299, results["charged_cents"]
      # @param handler_class [Class]
      # @param context [Hash] the task's
      # @param results [Hash{String, Symbol => Object}] of the steps it depends on, by name
      # @param config [Hash] the step's handler_config
      # @param step [Hash] fields of the step's head, such as +attempts: 2+
      # @param task [Hash] fields of the task's head, such as +tags: ["vip"]+
      # @return [Object] the step's results, as they come out of JSON
      # @raise the handler's own exceptions
      # @raise [HandlerError] when the class cannot handle steps
      def run(handler_class, context: {}, results: {}, config: {}, step: {}, task: {})
        Execution.check(handler_class, step[:handler_method] || step["handler_method"])
        segments = segments(handler_class.name, context: context, results: results, config: config, step: step, task: task)
        Document.parse(generate(Execution.run(handler_class, segments)))
      end

      # The objects that a handler's methods take, to call them one by one.
      #
      # @return [Sequence] with +task+ and +current_step+; see {.run} for the
      #   parameters
      def sequence(context: {}, results: {}, config: {}, step: {}, task: {})
        Sequence.new(segments(nil, context: context, results: results, config: config, step: step, task: task))
      end

      # Gives the class the methods, and not this module's constants: a test that
      # names its own +Task+ or +Step+ must get that one.
      #
      # @!visibility private
      def append_features(base)
        require "tasker/testing"
        base.include(API)
      end

      # @!visibility private
      def extend_object(object)
        require "tasker/testing"
        object.extend(API)
      end

      private

      def segments(handler_class, context:, results:, config:, step:, task:)
        results = results.transform_keys(&:to_s)
        own = own_head(handler_class, results.keys, context).merge(step.transform_keys(&:to_s))
        heads = results.keys.each_with_index.map { |name, i| parent_head(name, i + 2, own["name"]) }
        [task_head.merge(task.transform_keys(&:to_s)), context, own, config, heads + [own]].map { |v| RubyVersions.generate_json(v) } +
          [""] + results.flat_map { |name, value| [name, generate(value)] }
      end

      def generate(value)
        RubyVersions.generate_json(value, max_nesting: Document::MAX_NESTING)
      end

      def task_head
        { "task_id" => 1, "name" => "test", "namespace_name" => "default", "version" => "0.1.0",
          "status" => "in_progress", "tags" => [], "initiator" => nil, "source_system" => nil, "reason" => nil,
          "created_at" => "2025-01-01T00:00:00Z" }
      end

      def own_head(handler_class, parents, inputs)
        head(1, "step_under_test", "in_progress", handler_class).merge(
          "in_process" => true, "inputs" => inputs, "parents" => parents
        )
      end

      def parent_head(name, id, child)
        head(id, name, "complete", nil).merge("processed" => true, "children" => [child])
      end

      def head(id, name, status, handler_class)
        { "workflow_step_id" => id, "task_id" => 1, "name" => name, "description" => nil, "dependent_system" => nil,
          "status" => status, "attempts" => 1, "retry_limit" => 3, "retryable" => true, "processed" => false,
          "in_process" => false, "inputs" => nil, "last_attempted_at" => nil, "backoff_request_seconds" => nil,
          "parents" => [], "children" => [], "handler_class" => handler_class }
      end
    end
  end
end

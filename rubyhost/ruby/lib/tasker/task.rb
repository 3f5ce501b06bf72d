# frozen_string_literal: true

module Tasker
  # The task of the running step. A document is parsed when it is first read.
  class Task
    # @api private
    # @param segments [Array<String>] see {Sequence#initialize}
    # @param sequence [Sequence]
    def initialize(segments, sequence)
      @segments = segments
      @sequence = sequence
    end

    # The context that the task was submitted with. It has been checked against
    # the template's schema, and has the schema's defaults. It is the handler's
    # own copy.
    #
    # @return [Context]
    def context
      @context ||= @segments.read_indifferent(1) || Context.new
    end

    # The context once more, parsed anew: a step's inputs are a copy of their own.
    #
    # @api private
    # @return [Context]
    def context_copy = @segments.read_indifferent(1) || Context.new

    # @return [Integer]
    def task_id = head["task_id"]
    alias id task_id

    # @return [String]
    def name = head["name"]

    # @return [String]
    def namespace_name = head["namespace_name"]

    # @return [String]
    def version = head["version"]

    # @return [String] pending, in_progress, complete, error, cancelled or
    #   resolved_manually
    def status = head["status"]

    # @return [Array<String>]
    def tags = head["tags"] ||= []

    # @return [String, nil] who submitted it
    def initiator = head["initiator"]

    # @return [String, nil] the system it came from
    def source_system = head["source_system"]

    # @return [String, nil] why it was submitted
    def reason = head["reason"]

    # @return [Time, nil]
    def created_at
      at = head["created_at"]
      at && Time.iso8601(at)
    end
    alias requested_at created_at

    # @return [Array<Step>] all steps, each after the steps that it depends on
    def workflow_steps = @sequence.steps

    # @param name [String, Symbol]
    # @return [Step, nil]
    def get_step_by_name(name) = @sequence.find_step_by_name(name)

    # @return [Boolean] whether every step is done
    def all_steps_complete? = workflow_steps.all?(&:complete?)

    # @return [Hash{Symbol => Object}] what the methods above say, without the steps
    def to_h
      { task_id: task_id, name: name, namespace_name: namespace_name, version: version, status: status, context: context.to_h,
        tags: tags, initiator: initiator, source_system: source_system, reason: reason, requested_at: requested_at }
    end

    # What is written about the task: see {TaskAnnotation}.
    #
    # @return [Annotations]
    # @example
    #   task.annotations.create!(annotation_type: "large order", annotation: { total: 1200 })
    def annotations = Annotations.new(task_id)
    alias task_annotations annotations

    def ==(other)
      equal?(other) || (other.is_a?(Task) && other.task_id == task_id)
    end
    alias eql? ==

    def hash = task_id.hash

    def inspect
      "#<#{self.class} #{task_id} #{namespace_name}/#{name} #{version} (#{status})>"
    end
    alias to_s inspect

    private

    def head
      @head ||= @segments.read(0) || {}
    end
  end
end

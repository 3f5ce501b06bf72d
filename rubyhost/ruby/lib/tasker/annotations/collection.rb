# frozen_string_literal: true

module Tasker
  # The annotations of one task: see {Task#annotations}. Enumerable, oldest first. Each
  # question reads them anew.
  class Annotations
    include Enumerable

    # @api private
    # @param task_id [Integer]
    def initialize(task_id)
      @task_id = task_id
    end

    # (see TaskAnnotation.create!)
    def create!(**facts) = TaskAnnotation.create!(**facts, task_id: @task_id)

    # (see TaskAnnotation.create)
    def create(**facts) = TaskAnnotation.create(**facts, task_id: @task_id)

    # @yieldparam annotation [TaskAnnotation]
    def each(&block)
      return to_enum unless block

      to_a.each(&block)
      self
    end

    # @return [Array<TaskAnnotation>]
    def to_a = TaskAnnotation.where(task_id: @task_id)
    alias entries to_a
    alias all to_a

    # @param annotation_type [AnnotationType, String, Symbol, nil]
    # @return [Array<TaskAnnotation>] those with these values
    def where(annotation_type: nil, **conditions)
      found = TaskAnnotation.where(**conditions, task_id: @task_id)
      return found if annotation_type.nil?

      name = annotation_type.is_a?(AnnotationType) ? annotation_type.name : annotation_type.to_s
      found.select { |annotation| annotation.annotation_type_name == name }
    end

    # @return [TaskAnnotation, nil] the first with these values
    def find_by(**conditions) = where(**conditions).first

    # @return [TaskAnnotation, nil]
    def last = to_a.last

    # @return [Integer]
    def size = to_a.size
    alias length size

    # @return [Boolean]
    def empty? = to_a.empty?

    def inspect = "#<#{self.class} of task #{@task_id}>"
  end
end

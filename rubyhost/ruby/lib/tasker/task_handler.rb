# frozen_string_literal: true

require_relative "task_handler/step_template"
require_relative "task_handler/class_methods"
require_relative "task_handler/instance_methods"

module Tasker
  # tasker-engine's task handlers. A template names one as its task_handler_class. What a
  # task does is in its template; around the handler of each step, in the step's
  # transaction, the host calls the hooks that the class defines:
  #
  # - +establish_step_dependencies_and_defaults(task, steps)+ before the handler of each
  #   attempt. What it sets on the task's context and on the steps holds for that attempt.
  # - +update_annotations(task, sequence, steps)+ after the handler has returned, with the
  #   step that was handled. What it writes commits with the step.
  # - +schema+ before the first step of a task: the context has to fit it.
  #
  # @example
  #   class Checkout
  #     include Tasker::TaskHandler
  #
  #     register_handler "checkout", namespace_name: "shop"
  #
  #     def establish_step_dependencies_and_defaults(task, steps)
  #       task.context[:currency] ||= "EUR"
  #     end
  #
  #     def update_annotations(task, sequence, steps)
  #       steps.each { |step| task.annotations.create!(annotation_type: "done", annotation: { step: step.name }) }
  #     end
  #   end
  module TaskHandler
    autoload :Hooks, "tasker/task_handler/hooks"

    # The hooks of each class, by its name; false for none. Every change is one operation on
    # the Hash, so no lock is needed.
    KNOWN = {}
    private_constant :KNOWN

    class << self
      # @api private
      def included(base)
        super
        base.extend(ClassMethods)
        base.include(InstanceMethods)
      end

      # Forgets which hooks the classes have. Loaded files may have reopened them.
      #
      # @api private
      # @return [nil]
      def forget
        KNOWN.clear
        nil
      end
    end
  end
end

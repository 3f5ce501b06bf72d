# frozen_string_literal: true

module Tasker
  # Names of tasker-engine and Tasker Core that tasker-rb does not have, and what to do
  # instead. Hints of errors and `tasker-rb doctor` use them. A name that is defined after
  # all is not looked up here.
  #
  # @api private
  module AbsentNames
    ENGINE = "the engine is no part of Ruby here: what a task does is in its template, and `tasker-rb submit` and `tasker-rb worker` run it"
    HISTORY = "the engine keeps the history; `tasker-rb tasks show ID` prints it"
    OPERATOR = "`tasker-rb tasks`, `tasker-rb stats` and `tasker-rb workers` show what happens"
    CONFIGURED = "flags and templates configure tasker-rb; leave it out"
    TEMPLATE = "the template says it"
    RAILS_PART = "it belongs to the Rails application; keep the file out of the handlers folder"
    NO_RUN_TIME_STEPS = "tasker-rb makes no steps at run time; write each step into the template"
    RESOLVERS = "a template names the class or the registered name of its handler, and the method"
    private_constant :ENGINE, :HISTORY, :OPERATOR, :CONFIGURED, :TEMPLATE, :RAILS_PART, :NO_RUN_TIME_STEPS, :RESOLVERS

    # By the constant, or one that it is inside.
    CONSTANTS = {
      "Tasker::WorkflowStepEdge" => "step.parents and step.children are the neighbours of a step",
      "Tasker::StepDagRelationship" => "step.parents and step.children are the neighbours of a step",
      "Tasker::StepReadinessStatus" => "a step has predicates such as ready? and retry_exhausted?",
      "Tasker::WorkflowStepTransition" => HISTORY, "Tasker::TaskTransition" => HISTORY, "Tasker::StateMachine" => HISTORY,
      "Tasker::TaskExecutionContext" => OPERATOR, "Tasker::TaskDiagram" => "`tasker-rb templates show` draws a template",
      "Tasker::NamedTask" => TEMPLATE, "Tasker::NamedStep" => TEMPLATE, "Tasker::NamedTasksNamedStep" => TEMPLATE, "Tasker::TaskNamespace" => TEMPLATE,
      "Tasker::DependentSystem" => TEMPLATE, "Tasker::TaskBuilder" => TEMPLATE,
      "Tasker::ApplicationRecord" => "define a base class of your own below ActiveRecord::Base, after require \"tasker/active_record\"",
      "Tasker::Configuration" => CONFIGURED, "Tasker::Registry" => CONFIGURED, "Tasker::Engine" => CONFIGURED, "Tasker::Railtie" => CONFIGURED,
      "Tasker::Orchestration" => ENGINE, "Tasker::TaskRunnerJob" => ENGINE,
      "Tasker::Telemetry" => OPERATOR, "Tasker::Functions" => OPERATOR, "Tasker::Health" => OPERATOR, "Tasker::Analysis" => OPERATOR,
      "Tasker::RuntimeGraphAnalyzer" => OPERATOR, "Tasker::TemplateGraphAnalyzer" => "`tasker-rb templates show` draws a template",
      "Tasker::CacheStrategy" => "Rails.cache of tasker/compat/rails is a cache of the process",
      "Tasker::Authentication" => RAILS_PART, "Tasker::Authorization" => RAILS_PART, "Tasker::ApplicationController" => RAILS_PART,
      "Tasker::GraphQLTypes" => RAILS_PART, "Tasker::TaskerRailsSchema" => RAILS_PART,
      "Tasker::StepHandler::AutomaticEventPublishing" => "the host publishes the events of steps by itself; leave it out",
      "TaskerCore::Types::DecisionPointOutcome" => NO_RUN_TIME_STEPS, "TaskerCore::Types::BatchProcessingOutcome" => NO_RUN_TIME_STEPS,
      "TaskerCore::BatchProcessing" => NO_RUN_TIME_STEPS,
      "TaskerCore::Registry" => RESOLVERS, "TaskerCore::TemplateDiscovery" => "give the templates to `tasker-rb run`, `submit` or `worker`",
      "TaskerCore::Internal" => ENGINE, "TaskerCore::Messaging" => ENGINE, "TaskerCore::FFI" => ENGINE, "TaskerCore::Worker" => ENGINE,
      "TaskerCore::Orchestration" => ENGINE, "TaskerCore::Execution" => ENGINE, "TaskerCore::Client" => ENGINE, "TaskerCore::Config" => CONFIGURED,
      "TaskerCore::TestEnvironment" => "`tasker-rb test` runs a suite on the real engine"
    }.freeze

    # By the constant that they are called on, and there by name; * is any other name.
    METHODS = {
      "Tasker" => { "configuration" => CONFIGURED, "configure" => CONFIGURED, "config" => CONFIGURED },
      "Tasker::Task" => { "*" => "a handler is given its own task and cannot make or look up others; `tasker-rb submit` makes one" },
      "Tasker::WorkflowStep" => { "*" => "a handler finds the steps of its task with sequence.find_step_by_name(name) and task.workflow_steps" },
      "Tasker::Step" => { "*" => "a handler finds the steps of its task with sequence.find_step_by_name(name) and task.workflow_steps" },
      "Tasker::HandlerFactory" => { "*" => "a template names its handlers; nothing has to be looked up" },
      "Rails" => { "*" => "tasker/compat/rails has logger, env, root, cache, configuration and application" }
    }.freeze

    # Methods that are there and refuse to work.
    REFUSED = {
      "TaskerCore::Types::StepHandlerCallResult.checkpoint_yield" => "work that must not be repeated belongs in steps of its own"
    }.freeze

    # Methods of the task, the step and the sequence that ActiveRecord would give them.
    RECORD = /\A(?:save|update|create|destroy|delete|touch|increment|decrement|toggle|reload|lock|with_lock|transaction|where|find_by|assign_attributes|
                 attributes|write_attribute|read_attribute|errors|valid|changed|persisted|new_record|build|association|
                 annotations|transitions|state_machine)/x
    private_constant :RECORD

    class << self
      # @param name [String] such as "Tasker::WorkflowStep"
      # @return [String, nil] what to do
      def constant(name)
        name = name.delete_prefix("::")
        until name.empty?
          return CONSTANTS[name] if CONSTANTS.key?(name)

          name = name.rpartition("::").first
        end
        nil
      end

      # @param receiver [String]
      # @param name [String]
      # @return [String, nil]
      def method(receiver, name)
        known = METHODS[receiver]
        known && (known[name] || known["*"])
      end

      # @param object [Symbol] :task, :sequence, :step or :context
      # @param name [String]
      # @return [String, nil]
      def of_object(object, name)
        return nil if object == :context

        "The #{object} is no ActiveRecord model: it is a copy for this handler. Return what is to be kept as results." if name.match?(RECORD)
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  # tasker-engine's task handlers. Their classes are loaded, and can be asked for their
  # steps and their schema. What a task does is in its template, and the host calls no
  # method of a task handler: a class that defines one of the hooks is warned of, with the
  # place.
  #
  # @example
  #   class Checkout
  #     include Tasker::TaskHandler
  #
  #     register_handler "checkout", namespace_name: "shop"
  #     define_step_templates do |templates|
  #       templates.define(name: "pay", handler_class: Shop::Pay, depends_on_step: "validate")
  #     end
  #   end
  module TaskHandler
    # The hooks, and what to do instead.
    HOOKS = {
      establish_step_dependencies_and_defaults: "give the context its defaults in the schema of the template",
      update_annotations: "do this in a last step, which depends on the others",
      schema: "write it into the template, as schema:"
    }.freeze
    private_constant :HOOKS

    # A step, as {ClassMethods#define_step_templates} defines it.
    StepTemplate = Struct.new(:name, :handler_class, :description, :dependent_system, :default_retryable, :default_retry_limit, :skippable,
                              :handler_config, :depends_on_step, :depends_on_steps, :custom_events, keyword_init: true)

    # Collects the steps of a task handler.
    class StepTemplateDefiner
      # @return [Array<StepTemplate>]
      attr_reader :step_templates

      def initialize
        @step_templates = []
      end

      # @param name [String, Symbol]
      # @param handler_class [Class, String]
      # @param others [Hash] the other facts of {StepTemplate}
      # @return [StepTemplate]
      def define(name:, handler_class:, **others)
        given = { description: name.to_s, dependent_system: "unknown", default_retryable: true, default_retry_limit: 3, skippable: false,
                  depends_on_steps: [], custom_events: [], **others }
        @step_templates << StepTemplate.new(name: name.to_s, handler_class: handler_class, **given)
        @step_templates.last
      end
    end

    # The methods of the class.
    module ClassMethods
      # @param name [String, Symbol] of the task
      # @param namespace_name [String, Symbol]
      # @param version [String]
      # @return [Class] itself
      def register_handler(name, namespace_name: "default", version: "0.1.0", **)
        HandlerFactory.instance.register(name, self, namespace_name: namespace_name, version: version)
      end

      # @yieldparam definer [StepTemplateDefiner]
      # @return [nil]
      def define_step_templates
        definer = StepTemplateDefiner.new
        yield definer
        templates = definer.step_templates
        define_method(:step_templates) { templates }
        define_method(:step_handler_class_map) { templates.to_h { |template| [template.name, template.handler_class.to_s] } }
        define_method(:step_handler_config_map) { templates.to_h { |template| [template.name, template.handler_config] } }
        nil
      end

      private

      def method_added(name)
        super
        TaskHandler.warn_of(self, name) if HOOKS.key?(name) && !equal?(ConfiguredTask)
      end
    end

    # The hooks, which do nothing.
    module InstanceMethods
      # @return [nil]
      def establish_step_dependencies_and_defaults(_task, _steps) = nil
      # @return [nil]
      def update_annotations(_task, _sequence, _steps) = nil

      # @return [Hash, nil] the JSON schema of the context
      def schema = nil

      # @return [Array<StepTemplate>]
      def step_templates = []
    end

    @warned = {}

    class << self
      def included(base)
        super
        base.extend(ClassMethods)
        base.include(InstanceMethods)
      end

      # @api private
      # @return [nil]
      def warn_of(handler_class, hook)
        place = handler_class.instance_method(hook).source_location.to_a.join(":")
        return if @warned[place]

        @warned[place] = true
        Tasker.logger.warn("#{place}: #{handler_class}##{hook} is not called: tasker-rb calls no method of a task handler; #{HOOKS[hook]}")
        nil
      end
    end
  end

  # A task handler whose task is described by a YAML file.
  class ConfiguredTask
    include TaskHandler

    class << self
      # @return [String]
      def task_name = @task_name ||= name.to_s.gsub("::", "/").gsub(/([a-z\d])([A-Z])/, '\1_\2').downcase

      # @return [String] of the YAML file; a subclass says another
      def yaml_path = @yaml_path ||= File.join("config", "tasker", "tasks", "#{task_name}.yaml")

      # @return [Hash{String => Object}] what is in the file
      def config
        require "yaml"
        @config ||= YAML.safe_load(File.read(yaml_path), aliases: true, filename: yaml_path.to_s)
      end
    end

    # @return [Hash{String => Object}]
    def config = self.class.config

    # @return [Hash, nil]
    def schema = config["schema"]

    # @return [Array<TaskHandler::StepTemplate>]
    def step_templates
      definer = TaskHandler::StepTemplateDefiner.new
      Array(config["step_templates"]).each { |step| definer.define(**step.transform_keys(&:to_sym).slice(*TaskHandler::StepTemplate.members)) }
      definer.step_templates
    end
  end

  # The task handlers that registered themselves.
  class HandlerFactory
    # @return [HandlerFactory]
    def self.instance = INSTANCE

    def initialize
      @classes = {}.freeze
      @lock = Mutex.new
    end

    # @param name [String, Symbol]
    # @param handler_class [Class, String]
    # @return [Class, String] the handler class
    def register(name, handler_class, namespace_name: "default", version: "0.1.0", **)
      @lock.synchronize { @classes = @classes.merge([namespace_name.to_s, name.to_s, version.to_s] => handler_class).freeze }
      handler_class
    end

    # @return [Object] an instance of the class
    # @raise [ProceduralError] when there is none
    def get(name, namespace_name: "default", version: "0.1.0")
      found = @classes.fetch([namespace_name.to_s, name.to_s, version.to_s]) do
        raise ProceduralError, "no task handler is registered as #{namespace_name}/#{name} #{version}"
      end
      found = Object.const_get(found) unless found.is_a?(Class)
      found.new
    end

    # @param namespace [String, Symbol, nil]
    # @return [Hash] of namespaces, of names, of versions
    def list_handlers(namespace: nil)
      all = @classes.each_with_object({}) do |((space, name, version), handler_class), list|
        ((list[space] ||= {})[name] ||= {})[version] = handler_class
      end
      namespace ? all.fetch(namespace.to_s, {}) : all
    end

    INSTANCE = new
    private_constant :INSTANCE
  end

  module Types
    StepTemplate = TaskHandler::StepTemplate
  end
end

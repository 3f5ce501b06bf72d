# frozen_string_literal: true

require_relative "task_handler"

module Tasker
  # A task handler whose task is described by a YAML file.
  #
  # @example
  #   class OrderTask < Tasker::ConfiguredTask
  #     def self.yaml_path = File.join(__dir__, "../config/order.yaml")
  #   end
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

    # The schema in the YAML file. A task is checked against the schema of its own
    # template, which is this file; the host asks a method that a subclass defines.
    #
    # @return [Hash, nil]
    def schema = config["schema"]

    # @return [Array<TaskHandler::StepTemplate>]
    def step_templates
      definer = TaskHandler::StepTemplateDefiner.new(self.class)
      Array(config["step_templates"]).each do |step|
        definer.define(**step.transform_keys(&:to_sym).slice(*TaskHandler::StepTemplate.members))
      end
      definer.step_templates
    end
  end
end

# frozen_string_literal: true

require "pathname"
require "tasker"

# For handlers that use little of Rails: its logger, its environment, its root folder, a
# cache, and config files. require "tasker/compat/rails". It also loads ActiveSupport and
# ActiveModel when they are installed. It does nothing when the real Rails is loaded.
unless defined?(Rails)
  require_relative "rails_gems"
  require_relative "rails/cache"
  require_relative "rails/options"
  require_relative "rails/time_zone"

  # Has the methods below, and no other part of Rails.
  module Rails
    # The name of the environment, with methods such as +production?+.
    class Environment < String
      def respond_to_missing?(name, include_private = false)
        name.end_with?("?") || super
      end

      def method_missing(name, *arguments)
        return super unless name.end_with?("?") && arguments.empty?

        self == name.name.delete_suffix("?")
      end
    end

    # What there is of an application.
    class Application
      # @return [Tasker::Compat::RailsParts::Options] see {Rails.configuration}
      def config = Rails.configuration

      # Reads a file of the folder config. ERB in it is evaluated. Of its environments it
      # takes the one that is in use, on top of +shared+.
      #
      # @param name [Symbol, String, Pathname] +:payments+ for config/payments.yml, or a
      #   file
      # @param env [String]
      # @return [Tasker::Compat::RailsParts::Options] with Symbol keys, which are methods
      #   too; another object when the file holds one; nil when it has nothing for this
      #   environment
      # @raise [RuntimeError] when there is no such file
      def config_for(name, env: Rails.env)
        file = name.is_a?(Pathname) ? name : Rails.root.join("config", "#{name}.yml")
        raise "there is no config file #{file}" unless file.file?

        Tasker::Compat::RailsParts::ConfigFile.new(file).for(env.to_s)
      end
    end

    @cache = Tasker::Compat::RailsParts::Cache.new
    @configuration = Tasker::Compat::RailsParts::Options.new.merge!(x: Tasker::Compat::RailsParts::Custom.new)
    @application = Application.new

    class << self
      # @return [Tasker::Compat::RailsParts::Cache] in the memory of this process
      attr_reader :cache

      # @return [Application]
      attr_reader :application

      # Handlers' own settings: +Rails.configuration.gateway = "acme"+. Below +x+ they may
      # be nested.
      #
      # @return [Tasker::Compat::RailsParts::Options]
      attr_reader :configuration

      # @return [Logger] {Tasker.logger}
      def logger = Tasker.logger

      # @return [Environment] the value of RAILS_ENV, else of RACK_ENV, else
      #   "development"
      def env
        name = [ENV.fetch("RAILS_ENV", nil), ENV.fetch("RACK_ENV", nil)].compact.find { |value| !value.empty? }
        Environment.new(name || "development")
      end

      # @return [Pathname] the value of RAILS_ROOT, else the working directory
      def root
        Pathname.new(ENV["RAILS_ROOT"] || Dir.pwd)
      end
    end
  end

  Tasker::Compat::RailsGems.load("active_support/all", "active_model")

  # Handlers for tasker-engine need Rails, and those of its repository these files.
  require_relative "replaced_files"
  Tasker::Compat::ReplacedFiles.add(
    "tasker-rb",
    %w[tasker tasker/errors tasker/constants tasker/version tasker/task_handler tasker/task_builder tasker/handler_factory tasker/types
       tasker/step_handler/base tasker/step_handler/api tasker/events tasker/events/subscribers/base_subscriber tasker/concerns/event_publisher],
    beside: "tasker/engine.rb"
  )
end

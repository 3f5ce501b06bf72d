# frozen_string_literal: true

require "pathname"
require "tasker"

# For handlers that use nothing of Rails but Rails.logger, Rails.env and
# Rails.root: require "tasker/compat/rails". Where the real Rails is loaded
# this does nothing.
unless defined?(Rails)
  # Stands in for the three things of Rails named above, and no other.
  module Rails
    # The name of the environment, which answers +production?+ and the like.
    class Environment < String
      def respond_to_missing?(name, include_private = false)
        name.end_with?("?") || super
      end

      def method_missing(name, *arguments)
        return super unless name.end_with?("?") && arguments.empty?

        self == name.name.delete_suffix("?")
      end
    end

    class << self
      # @return [Logger] {Tasker.logger}
      def logger = Tasker.logger

      # @return [Environment] RAILS_ENV, else RACK_ENV, else development
      def env
        name = [ENV.fetch("RAILS_ENV", nil), ENV.fetch("RACK_ENV", nil)].compact.find { |value| !value.empty? }
        Environment.new(name || "development")
      end

      # @return [Pathname] RAILS_ROOT, else the working directory
      def root
        Pathname.new(ENV["RAILS_ROOT"] || Dir.pwd)
      end
    end
  end
end

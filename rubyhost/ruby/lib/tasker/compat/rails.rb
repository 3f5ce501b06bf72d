# frozen_string_literal: true

require "pathname"
require "tasker"

# For handlers that use only Rails.logger, Rails.env and Rails.root of Rails:
# require "tasker/compat/rails". It does nothing when the real Rails is loaded.
unless defined?(Rails)
  # Has the three methods named above, and no other part of Rails.
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

    class << self
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
end

# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # Gives each thread a connection of its own. A connection of this adapter
    # costs the server nothing, because the host shares out the physical ones.
    # ActiveRecord's default is 5, and the sixth thread would wait.
    #
    # Prepended to ActiveRecord::DatabaseConfigurations::HashConfig.
    #
    # @!visibility private
    module PoolSize
      # More than the threads of any host.
      SIZE = 1024

      def pool
        tasker_default?(:pool) ? SIZE : super
      end

      # The name of {#pool} in newer versions.
      def max_connections
        tasker_default?(:pool, :max_connections) ? SIZE : super
      end

      private

      def tasker_default?(*keys)
        adapter.to_s == "tasker" && keys.none? { |key| configuration_hash[key] }
      end
    end
  end
end

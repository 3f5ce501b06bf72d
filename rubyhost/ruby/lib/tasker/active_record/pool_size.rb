# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # A connection of the adapter's costs the server nothing: physical ones are
    # the host's to share out. So each thread may have one, and ActiveRecord's
    # default of 5, which makes the sixth thread wait, does not apply.
    #
    # In front of ActiveRecord::DatabaseConfigurations::HashConfig.
    #
    # @!visibility private
    module PoolSize
      # More than any host has threads.
      SIZE = 1024

      def pool
        tasker_default?(:pool) ? SIZE : super
      end

      # The name that newer versions have for it.
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

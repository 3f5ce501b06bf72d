# frozen_string_literal: true

require "tasker"
require "tasker/ruby_versions"

module Tasker
  module Compat
    # Loads what handlers of a Rails application take for granted: ActiveSupport with
    # its core extensions, and ActiveModel. The gems that handlers were written for
    # depend on it, or on Rails.
    #
    # @api private
    module RailsGems
      class << self
        # A feature that is not installed, or that Bundler hides, is left out without a
        # word. {Hints} names it when a handler misses it.
        #
        # @param features [Array<String>] such as "active_support/all"
        # @return [nil]
        def load(*features)
          features.each { |feature| load_one(feature) }
          nil
        end

        private

        def load_one(feature)
          RubyVersions.library("logger") # ActiveSupport before 7.1 uses it, and does not require it
          without_warnings do
            require feature
            # Host::Autoloads says why autoloads must not happen in steps.
            ::ActiveSupport.eager_load! if Tasker.const_defined?(:Host, false)
          end
        rescue LoadError => e
          Tasker.logger.warn("#{feature} is installed, but cannot be loaded: #{e.message}") unless e.path == feature
        end

        # Those of ruby -w about files that are not the handlers'.
        def without_warnings
          verbose = $VERBOSE
          $VERBOSE = nil if verbose
          yield
        ensure
          $VERBOSE = verbose
        end
      end
    end
  end
end

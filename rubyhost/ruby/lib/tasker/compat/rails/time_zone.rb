# frozen_string_literal: true

module Tasker
  module Compat
    module RailsParts
      # Sets ActiveSupport's time zone to UTC, as Rails does when the application names no
      # other: Time.zone is nil without one. ActiveSupport may be loaded before this file
      # or after it.
      #
      # @api private
      module TimeZone
        # Time's own methods of ActiveSupport are defined one after the other. This is the
        # last one that the others need.
        LAST = :find_zone!

        # Prepended to Time's singleton class.
        module Await
          def singleton_method_added(name)
            super
            TimeZone.set if name == LAST
          end
          private :singleton_method_added
        end

        class << self
          # @return [nil]
          def install
            Time.respond_to?(LAST) ? set : Time.singleton_class.prepend(Await)
            nil
          end

          # @return [nil]
          def set
            Time.zone_default ||= Time.find_zone!("UTC")
            nil
          rescue LoadError, StandardError => e # the gem tzinfo or its data may be missing
            Tasker.logger.warn("Time.zone stays nil: #{e.message}")
            nil
          end
        end
      end

      TimeZone.install
    end
  end
end

# frozen_string_literal: true

require_relative "example"

module Tasker
  module Testing
    # Moves the clock for an example.
    #
    # @api private
    module Travel
      class << self
        # @param duration [Numeric, #in_seconds, #to_f]
        def by(duration, &block)
          go(Clock.now + (seconds(duration) * 1_000_000).round, &block)
        end

        # @param time [Time, #to_time]
        def to(time, &block)
          time = time.to_time unless time.is_a?(Time)
          go(Clock.micro(time), &block)
        end

        private

        def go(target)
          example = Example.current!
          before = Clock.offset
          move(target)
          return unless block_given?

          begin
            yield
          ensure
            move(Clock.now - Clock.offset + before) if example.tasks.empty?
          end
        end

        # Ruby's clock moves only when the engine's has.
        def move(target)
          Service.ask(:travel, to: target)
          Clock.set(target)
        end

        def seconds(duration)
          return duration.in_seconds if duration.respond_to?(:in_seconds)
          return duration if duration.is_a?(Numeric)
          # Texts and nil have to_f, too: "3 days" would be three seconds.
          return duration.to_f if duration.respond_to?(:to_f) && !duration.nil? && !duration.is_a?(String)

          raise ArgumentError, "travel takes seconds, or a duration such as 3.days, not #{duration.inspect}"
        end
      end
    end
  end
end

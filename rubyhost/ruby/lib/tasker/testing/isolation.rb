# frozen_string_literal: true

require_relative "constants"

module Tasker
  module Testing
    # Puts the process back as it was before an example, so that the next one finds
    # nothing of it.
    #
    # @api private
    class Isolation
      @draws = 0

      # Seeds Random anew after something has seeded it. It is the same in every run of
      # the suite with this seed, and no two calls give the same numbers.
      #
      # @param seed [Integer] the suite's
      # @return [nil]
      def self.reseed(seed)
        @draws += 1
        Kernel.srand((seed & 0xFFFF_FFFF_FFFF_FFFF) | (@draws << 64))
        nil
      end

      # @param place [String] of the example, file:line
      def initialize(place)
        @constants = Constants.new(place.to_s[/\A(.*):\d+\z/, 1])
        @env = ENV.to_h
        @output = [$stdout, $stderr, $PROGRAM_NAME.dup]
        @subscriptions = Events.subscriptions
        @logger = Tasker.instance_variable_get(:@logger)
        @seed = Random.seed
      end

      # @return [nil]
      def restore
        ENV.replace(@env) unless ENV.to_h == @env
        $stdout, $stderr = @output
        $PROGRAM_NAME = @output.last unless $PROGRAM_NAME == @output.last
        Events.subscriptions = @subscriptions
        Tasker.logger = @logger
        @constants.restore
        Isolation.reseed(@seed) unless Random.seed == @seed
        nil
      end
    end
  end
end

# frozen_string_literal: true

require "tasker"
require_relative "clock"

module Tasker
  module Testing
    # A test asks for what is not there, or the engine refuses what it asks for.
    class Error < Tasker::Error; end

    # There is no engine in this process.
    class Absent < Error
      def initialize(message = "run_task and the methods like it need the engine: run this file with `tasker-rb test`")
        super
      end
    end

    # Speaks with the engine under test. Requests and replies are JSON, and carry the
    # time of the one clock.
    #
    # @api private
    module Service
      NAME = "tests"
      # How deep a task's documents may nest, with what is around them.
      NESTING = Document::MAX_NESTING + 16
      private_constant :NAME, :NESTING

      class << self
        # Tests of this library put something in the place of the host.
        #
        # @return [#call, nil] takes and returns JSON
        attr_accessor :transport

        # @return [Boolean] whether this process can run tasks
        def there?
          !transport.nil? || (Tasker.const_defined?(:Host) && !@absent)
        end

        # @param operation [Symbol]
        # @param fields [Hash] of the request
        # @return [Hash{String => Object}] the reply
        # @raise [Error] with the engine's two lines, what happened and what to do
        def ask(operation, **fields)
          go_back unless %i[begin travel].include?(operation)
          reply = send_request({ op: operation, now: Clock.now, **fields })
          follow(operation, reply["now"]) if reply["now"]
          raise Error, [reply["error"], reply["hint"]].compact.join("\n") if reply["error"]

          reply
        end

        private

        # The suite may have set the clock back with another library. The engine's goes
        # back, too, before the example's first task.
        def go_back
          now = Clock.now
          ask(:travel, to: now) if @latest && now < @latest && Example.current&.tasks&.empty? && Attempt.current.nil?
        end

        def follow(operation, now)
          Clock.follow(now)
          @latest = now if %i[begin travel].include?(operation) || @latest.nil? || now > @latest
        end

        def send_request(request)
          raise Absent unless there?

          text = RubyVersions.generate_json(request, max_nesting: NESTING)
          RubyVersions.parse_json(transport ? transport.call(text) : ask_host(text), max_nesting: NESTING)
        end

        def ask_host(text)
          Host.ask(NAME, text)
        rescue Host::ServiceError => e
          raise unless e.message.include?("offers no service")

          @absent = true
          raise Absent
        end
      end
    end
  end
end

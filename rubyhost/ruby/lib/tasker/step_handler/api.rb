# frozen_string_literal: true

require "tasker"
require_relative "api/config"
require_relative "api/response_rules"

begin
  require "faraday"
rescue LoadError => e
  raise LoadError, "Tasker::StepHandler::Api needs the gem faraday, 1.x or 2.x (#{e.message}); add it to the Gemfile, " \
                   "or install it with: gem install faraday (Debian: apt install ruby-faraday)"
end

require_relative "api/json_body"

module Tasker
  module StepHandler
    # A step that calls an HTTP API. {#process} makes the request through
    # {#connection} and returns the response. The response's status decides how
    # the step ends; see {ResponseRules}.
    #
    # The results are a Hash of the response's status, headers and body. A JSON
    # body is parsed. {#process_results} may replace the results. When {#process}
    # returns another object than a response, that object is the result.
    #
    # @example
    #   class FetchCustomer < Tasker::StepHandler::Api
    #     def process(task, _sequence, _step)
    #       connection.get("/customers/#{task.context[:customer_id]}")
    #     end
    #
    #     def process_results(step, response, _initial_results)
    #       step.results = JSON.parse(response.body).slice("id", "email")
    #     end
    #   end
    class Api < Base
      # @return [Config]
      attr_reader :config

      # @param config [Hash, Config, nil] see {Config}
      # @yieldparam connection [Faraday::Connection] to add middleware to
      def initialize(config: nil, &connection_block)
        super(config: Config.from(config), &nil)
        @connection_block = connection_block
      end

      # @return [Faraday::Connection] to the config's URL. Hashes and Arrays
      #   sent as a body of type application/json become JSON.
      # @raise [ConfigurationError] when the config has no usable URL
      def connection
        @connection ||= build_connection
      end

      # @return [Object] what {#process} returned
      def handle(task, sequence, step)
        return Events.around(step) { work(task, sequence, step) } if Events.listened_to?

        work(task, sequence, step)
      end

      def process_results(step, process_output, initial_results)
        return unless step.results == initial_results

        response = ResponseRules.response(process_output)
        step.results = response ? response.to_results : process_output
      end

      private

      def work(task, sequence, step)
        initial_results = step.results
        output = ask(task, sequence, step)
        process_results(step, output, initial_results)
        output
      end

      # Faraday has middleware that raises on an HTTP status. Its error carries the
      # response.
      def ask(task, sequence, step)
        output = process(task, sequence, step)
        ResponseRules.check(output, step: step, config: config)
        output
      rescue Faraday::Error => e
        ResponseRules.check(e.response, step: step, config: config) if e.response
        raise
      end

      def build_connection
        config.check
        Faraday.new(
          url: config.url, params: config.params, headers: config.headers, ssl: config.ssl, request: config.timeouts
        ) do |connection|
          connection.use JsonBody
          connection.request :url_encoded
          @connection_block&.call(connection)
        end
      end
    end
  end
end

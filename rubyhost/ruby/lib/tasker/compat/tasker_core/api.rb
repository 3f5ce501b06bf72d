# frozen_string_literal: true

module TaskerCore
  module StepHandler
    module Mixins
      # For handlers that call an HTTP API. It needs the gem faraday. The keys of the
      # handler's config are +url+, +headers+, +params+, +ssl+, +timeout+,
      # +open_timeout+ and +auth+.
      module API
        # Reads a body of type JSON.
        #
        # @api private
        JSON_ANSWER = lambda do |env|
          type = env[:response_headers]["Content-Type"].to_s
          body = env[:body]
          env[:body] = body.strip.empty? ? nil : Tasker::Document.parse(body) if body.is_a?(String) && type.match?(/\bjson\b/i)
        rescue JSON::ParserError
          nil # the body stays the text that it is
        end
        private_constant :JSON_ANSWER

        # The files of the connection are loaded with the class, and not in a step.
        #
        # @api private
        # @raise [LoadError] when the gem faraday is missing
        def self.included(base)
          super
          Tasker::StepHandler.const_get(:Api) unless base.name == "TaskerCore::StepHandler::Api"
        end

        # @return [Array<String>]
        def capabilities = super + %w[http_client error_classification retry_headers faraday_connection]

        # @return [Faraday::Connection]
        def connection = @connection ||= build_connection

        # @yieldparam connection [Faraday::Connection] to add middleware to
        # @return [Faraday::Connection]
        def configure_connection(&block)
          @connection = build_connection(&block)
        end

        # @return [Faraday::Response]
        # @raise [Errors::RetryableError, Errors::PermanentError] see {#process_response}
        def get(path, params: {}, headers: {}) = ask(:get, path, params, headers)

        # @return [Faraday::Response] see {#get}
        def delete(path, params: {}, headers: {}) = ask(:delete, path, params, headers)

        # @param data [Hash, Array, String] the body
        # @return [Faraday::Response] see {#get}
        def post(path, data: {}, headers: {}) = ask(:post, path, data, headers)

        # @return [Faraday::Response] see {#post}
        def put(path, data: {}, headers: {}) = ask(:put, path, data, headers)

        # Lets a successful answer pass. Of the others, 400, 401, 403, 404 and 422 are
        # permanent failures, and the rest may be tried again.
        #
        # @param response [Faraday::Response]
        # @return [Faraday::Response]
        def process_response(response)
          return response if response.success?

          wording = "HTTP #{response.status} #{response.reason_phrase}".strip
          facts = { status: response.status, body: response.body.to_s.scrub[0, 2000] }
          if Tasker::StepHandler::Api::ResponseRules::PERMANENT.include?(response.status)
            raise Errors::PermanentError.new(wording, error_code: "HTTP_#{response.status}", context: facts)
          end

          wait = Tasker::StepHandler::Api::ResponseRules.retry_after(response.headers["Retry-After"]) if [429, 503].include?(response.status)
          raise Errors::RetryableError.new(wording, retry_after: wait, context: facts)
        end

        # @return [Types::StepHandlerCallResult::Success]
        def api_success(data:, status: 200, headers: {}, execution_time_ms: nil, metadata: {})
          result = { "data" => data, "status" => status, "headers" => headers, "execution_time_ms" => execution_time_ms }.compact
          success(result: result, metadata: metadata.merge(api_call: true))
        end

        # @return [Types::StepHandlerCallResult::Error] which may be tried again when the
        #   status is 429 or at least 500
        def api_failure(message:, status: nil, error_type: nil, headers: {}, execution_time_ms: nil, metadata: {})
          retryable = !status.nil? && (status >= 500 || status == 429)
          error_type ||= { 4 => "PermanentError", 5 => "RetryableError" }.fetch(status.to_i / 100, "UnexpectedError")
          facts = { api_call: true, status: status, headers: headers, execution_time_ms: execution_time_ms }.compact
          failure(message: message, error_type: error_type, retryable: retryable, metadata: metadata.merge(facts))
        end

        private

        def ask(verb, path, *rest)
          response = connection.public_send(verb, path, *rest)
          process_response(response)
          response
        end

        def build_connection
          options = Tasker::StepHandler::Api::Config.from(config)
          options.check
          Faraday.new(url: options.url, params: options.params, headers: options.headers, ssl: options.ssl, request: options.timeouts) do |c|
            c.use Tasker::StepHandler::Api::JsonBody
            c.request :url_encoded
            c.use Answers
            authenticate(c, Tasker::Context.new(options[:auth].to_h))
            yield c if block_given?
          end
        end

        def authenticate(connection, auth)
          case auth[:type]
          when "bearer" then connection.headers["Authorization"] = "Bearer #{auth[:token]}" if auth[:token]
          when "basic"
            connection.headers["Authorization"] = "Basic #{["#{auth[:username]}:#{auth[:password]}"].pack("m0")}" if auth[:username] && auth[:password]
          when "api_key" then connection.headers[auth[:api_key_header] || "X-API-Key"] = auth[:token] if auth[:token]
          end
        end

        # Faraday's middleware that applies {JSON_ANSWER}. Any object with new and call will do.
        #
        # @api private
        class Answers
          def initialize(app, *)
            @app = app
          end

          def call(env)
            @app.call(env).on_complete(&JSON_ANSWER)
          end
        end
      end
    end

    # The base class of handlers that call an HTTP API; see {Mixins::API}.
    class Api < Base
      include Mixins::API

      # @api private
      def self.inherited(handler_class)
        super
        Tasker::StepHandler.const_get(:Api) # as in Mixins::API.included
      end
    end
  end

  # The names of the base classes under another module.
  module Handlers
    # Those of steps.
    module Steps
      Base = StepHandler::Base
      Mixins = StepHandler::Mixins
      API = StepHandler::Api
      Decision = StepHandler::Decision
      Batchable = StepHandler::Batchable
    end
  end
end

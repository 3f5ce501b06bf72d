# frozen_string_literal: true

module Tasker
  module StepHandler
    class Api < Base
      # Writes a Hash or Array in the body of a request as JSON, when the request's
      # content type is JSON. Faraday 1.x has no middleware for this.
      #
      # @api private
      class JsonBody < Faraday::Middleware
        def call(env)
          body = env[:body]
          type = env[:request_headers]["Content-Type"].to_s
          env[:body] = RubyVersions.generate_json(body) if (body.is_a?(Hash) || body.is_a?(Array)) && type.match?(/\bjson\b/i)
          @app.call(env)
        end
      end
    end
  end
end

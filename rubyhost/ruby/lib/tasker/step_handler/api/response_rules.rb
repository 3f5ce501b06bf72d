# frozen_string_literal: true

module Tasker
  module StepHandler
    class Api < Base
      # Decides by the HTTP status how the step ends:
      #
      # - 200 to 226: the step goes on;
      # - 429, 503: {RetryableError}, with the server's Retry-After;
      # - 400, 401, 403, 404, 422: {PermanentError}, with an error_code such as
      #   HTTP_400;
      # - any other: {RetryableError}.
      module ResponseRules
        SUCCESS = (200..226)
        BUSY = [429, 503].freeze
        PERMANENT = [400, 401, 403, 404, 422].freeze
        # These headers are not kept with the failure.
        SECRET_HEADERS = %w[set-cookie authorization www-authenticate].freeze
        BODY_CHARACTERS = 2000
        private_constant :SECRET_HEADERS, :BODY_CHARACTERS

        # A response of Faraday, of another library, or from a Hash.
        Answer = Struct.new(:status, :headers, :body, :request) do
          # @param name [String] in lower case
          def header(name)
            _, value = headers.find { |key, _| key.to_s.downcase == name }
            value
          end

          # @return [Hash{String => Object}]
          def to_results
            { "status" => status, "headers" => headers.to_h, "body" => parsed_body }
          end

          private

          def parsed_body
            return body unless body.is_a?(String) && header("content-type").to_s.match?(/\bjson\b/i)

            body.strip.empty? ? nil : Document.parse(body)
          rescue JSON::ParserError
            body
          end
        end

        class << self
          # @param output [Object] what process returned
          # @param step [Step]
          # @param config [Config, nil]
          # @return [nil] when the step may go on
          # @raise [RetryableError, PermanentError]
          def check(output, step:, config: nil)
            answer = response(output)
            return if answer.nil? || SUCCESS.cover?(answer.status)
            raise permanent(answer, step) if PERMANENT.include?(answer.status)

            raise retryable(answer, step, config)
          end

          # @param output [Object] a Faraday::Response, anything with status
          #   and body, or a Hash with these
          # @return [Answer, nil] nil when it is none of these
          def response(output)
            case output
            when Hash then from_hash(output)
            else from_object(output)
            end
          end

          # @param value [String, nil] of the header Retry-After: seconds or a date
          # @param now [Time]
          # @return [Numeric, nil] seconds
          def retry_after(value, now: Time.now)
            text = value.to_s.strip
            return Integer(text, 10) if text.match?(/\A\d+\z/)
            return nil if text.empty?

            [Time.httpdate(text) - now, 1].max
          rescue ArgumentError
            nil
          end

          private

          def from_hash(hash)
            status = hash[:status] || hash["status"]
            return unless status.is_a?(Integer)

            Answer.new(status, hash[:headers] || hash["headers"] || {}, hash[:body] || hash["body"])
          end

          def from_object(object)
            return unless object.respond_to?(:status) && object.respond_to?(:body) && object.status.is_a?(Integer)

            headers = object.respond_to?(:headers) ? object.headers : nil
            Answer.new(object.status, headers || {}, object.body, request_of(object))
          end

          # Leaves out the query, which may hold secrets.
          def request_of(response)
            env = response.env if response.respond_to?(:env)
            return unless env.respond_to?(:url) && env.url

            "#{env.method.to_s.upcase} #{env.url.to_s.sub(/\?.*/m, "")}"
          end

          def permanent(answer, step)
            PermanentError.new(wording(answer), error_code: "HTTP_#{answer.status}", context: facts(answer, step))
          end

          def retryable(answer, step, config)
            wait = retry_after(answer.header("retry-after")) if BUSY.include?(answer.status)
            RetryableError.new(wording(answer), retry_after: wait || config&.delay_after(step.attempts),
                                                context: facts(answer, step))
          end

          def wording(answer)
            excerpt = answer.body.to_s.scrub[0, 200]
            "#{answer.request || "the API"} answered #{answer.status}#{": #{excerpt}" unless excerpt.empty?}"
          end

          def facts(answer, step)
            headers = answer.headers.to_h.reject { |name, _| SECRET_HEADERS.include?(name.to_s.downcase) }
            { step_id: step.workflow_step_id, step_name: step.name, status: answer.status,
              headers: headers, body: answer.body.to_s.scrub[0, BODY_CHARACTERS] }
          end
        end
      end
    end
  end
end

# frozen_string_literal: true

require "uri"

module Tasker
  module StepHandler
    class Api < Base
      # The handler_config of the template: the address of the API, and the options
      # of its requests.
      class Config
        DEFAULT_HEADERS = { "Accept" => "application/json", "Content-Type" => "application/json" }.freeze

        # @return [String] the base URL
        attr_accessor :url
        # @return [Hash] query parameters of every request
        attr_accessor :params
        # @return [Hash{String => String}]
        attr_accessor :headers
        # @return [Hash] Faraday's ssl options, with Symbol keys
        attr_accessor :ssl
        # @return [Hash{Symbol => Numeric}] timeout, open_timeout, read_timeout
        #   and write_timeout in seconds
        attr_accessor :timeouts
        # @return [Numeric, nil] seconds until the next attempt, for an answer
        #   without Retry-After; nil leaves it to the step's backoff
        attr_accessor :retry_delay
        # @return [Boolean] whether retry_delay doubles with each attempt
        attr_accessor :enable_exponential_backoff
        # @return [Numeric] accepted because tasker-engine's configs have it; it has
        #   no effect, because the engine has its own jitter
        attr_accessor :jitter_factor

        TIMEOUTS = %i[timeout open_timeout read_timeout write_timeout].freeze
        KEYS = (%i[url params headers ssl retry_delay enable_exponential_backoff jitter_factor] + TIMEOUTS).freeze
        private_constant :TIMEOUTS, :KEYS

        # @param config [Config, Hash, nil]
        # @return [Config]
        def self.from(config)
          case config
          when nil then new
          when Hash then new(**config.to_h { |key, value| [key.to_sym, value] })
          else config
          end
        end

        # @param url [String, nil]
        # @param others [Hash] other keys of the handler_config; {#[]} reads them
        def initialize(url: nil, params: nil, headers: nil, ssl: nil, retry_delay: nil,
                       enable_exponential_backoff: true, jitter_factor: nil, **others)
          @url = url
          @params = params.to_h
          @headers = DEFAULT_HEADERS.merge(headers.to_h.to_h { |name, value| [name.to_s, value.to_s] })
          @ssl = ssl.to_h.to_h { |key, value| [key.to_sym, value] }
          @retry_delay = retry_delay
          @enable_exponential_backoff = enable_exponential_backoff
          @jitter_factor = jitter_factor
          @timeouts = others.slice(*TIMEOUTS).compact
          @others = Context.new(others)
        end

        # @param key [Symbol, String]
        # @return [Object, nil] the value of any key of the handler_config
        def [](key)
          name = key.to_sym
          KEYS.include?(name) && respond_to?(name) ? public_send(name) : @others[name]
        end

        # @return [Object, nil]
        def dig(key, *rest)
          value = self[key]
          rest.empty? || value.nil? ? value : value.dig(*rest)
        end

        # @return [Numeric, nil] seconds, for an answer without Retry-After
        def delay_after(attempts)
          return nil unless retry_delay

          enable_exponential_backoff ? retry_delay * (2**[attempts - 1, 0].max) : retry_delay
        end

        # @raise [ConfigurationError] when the url is missing or is no HTTP URL
        def check
          uri = URI.parse(url.to_s)
          return if uri.is_a?(URI::HTTP) && !uri.host.to_s.empty?

          raise ConfigurationError, "the handler_config needs a url such as https://api.example.com, not #{url.inspect}"
        rescue URI::InvalidURIError
          raise ConfigurationError, "the handler_config's url is not a URL: #{url.inspect}"
        end
      end
    end
  end
end

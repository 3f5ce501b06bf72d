# frozen_string_literal: true

module TaskerCore
  module StepHandler
    module Mixins
      module API
        # Asks for one page after the other. A page is the +data+ of the answer, or the
        # answer itself when that is a list. The next page's cursor is looked for in
        # +meta+ or +pagination+ of the answer, in a +data+ that is a Hash, and in the
        # header Link. There is no next page when none is there, or when the page is empty.
        #
        # The key +pagination+ of the handler's config may have a +page_size+; it is 100
        # otherwise.
        #
        # @example
        #   ids = api_paginated_request("/customers").map { |customer| customer["id"] }
        #
        # @param path [String]
        # @param method [Symbol] +:get+ or +:post+; both send the parameters in the query
        # @param pagination_key [String, Symbol] the parameter for the cursor
        # @param limit_key [String, Symbol] the parameter for the page's size
        # @param max_pages [Integer] after which it stops, with a warning in the log
        # @yieldparam page [Array, Hash]
        # @return [Array] what the pages have, one behind the other; empty with a block
        # @raise [Errors::RetryableError, Errors::PermanentError] see {#process_response}
        def api_paginated_request(path, method: :get, pagination_key: "cursor", limit_key: "limit", max_pages: 100)
          all = []
          cursor = nil
          max_pages.times do
            query = { limit_key => config.dig(:pagination, :page_size) || 100, pagination_key => cursor }.compact
            response = connection.run_request(method, path, nil, nil) { |request| request.params.update(query) }
            process_response(response)
            page = Page.new(response)
            block_given? ? yield(page.items) : all.concat(page.list)
            cursor = page.cursor(pagination_key.to_s)
            return all if cursor.nil? || page.list.empty?
          end
          logger.warn("#{path} has more than #{max_pages} pages: the rest was left out")
          all
        end

        # What an answer says of itself.
        #
        # @api private
        class Page
          # @param response [Faraday::Response]
          def initialize(response)
            @body = response.body.is_a?(Hash) ? response.body : { "data" => response.body }
            @link = response.headers["Link"].to_s
          end

          # @return [Array, Hash]
          def items
            data = @body["data"]
            data.is_a?(Hash) || data.is_a?(Array) ? data : []
          end

          # @return [Array]
          def list = items.is_a?(Hash) ? [items].reject(&:empty?) : items

          # @return [String, Numeric, nil]
          def cursor(key)
            place = [@body["meta"], @body["pagination"], items].find { |at| at.is_a?(Hash) }
            return place[key] if place

            uri = @link[/<([^>]*)>[^,]*\brel="?next\b/, 1]
            URI.decode_www_form(uri[/\?([^#]*)/, 1].to_s).assoc(key)&.last if uri
          end
        end
        private_constant :Page
      end
    end
  end
end

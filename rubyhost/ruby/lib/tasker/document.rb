# frozen_string_literal: true

module Tasker
  # Reads the JSON documents of a step. Integers keep all their digits.
  #
  # @api private
  module Document
    # How deep a document may nest. Results are written with the same limit.
    MAX_NESTING = 1000

    PLAIN = { max_nesting: MAX_NESTING }.freeze
    EMPTY = "{}"
    private_constant :PLAIN, :EMPTY

    class << self
      # @param text [String, nil] a JSON document in UTF-8
      # @return [Hash, Array, String, Numeric, true, false, nil]
      def parse(text)
        text && JSON.parse(text, PLAIN)
      end

      # @param text [String, nil] a JSON document in UTF-8
      # @return [Object] like {.parse}, but every JSON object is a {Context}
      def parse_indifferent(text)
        return Context.new if text == EMPTY

        Context.adopt(parse(text))
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  # Reads the JSON documents of a step. Integers keep all their digits.
  #
  # @api private
  module Document
    # How deep a document may nest. Results are written with the same limit.
    MAX_NESTING = 1000

    EMPTY = "{}"
    private_constant :EMPTY

    class << self
      # @param text [String, nil] a JSON document in UTF-8
      # @return [Hash, Array, String, Numeric, true, false, nil]
      def parse(text)
        text && RubyVersions.parse_json(text, max_nesting: MAX_NESTING)
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

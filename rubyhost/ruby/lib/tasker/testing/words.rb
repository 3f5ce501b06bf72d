# frozen_string_literal: true

module Tasker
  module Testing
    # What messages about tasks have in common.
    #
    # @api private
    module Words
      # @param text [#to_s]
      # @param width [Integer] characters at most
      # @return [String] on one line
      def self.short(text, width)
        text = text.to_s.gsub(/\s+/, " ").strip
        text.size > width ? "#{text[0, width - 1]}…" : text
      end
    end
  end
end

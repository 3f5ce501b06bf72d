# frozen_string_literal: true

module Tasker
  # The article of a name in a message.
  #
  # @api private
  module Article
    # @param name [#to_s] such as a class
    # @return [String] the name after "a" or "an"
    def self.of(name)
      "#{name.to_s.match?(/\A[AEIO]/i) ? "an" : "a"} #{name}"
    end
  end
end

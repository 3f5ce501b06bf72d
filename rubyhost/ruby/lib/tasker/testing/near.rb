# frozen_string_literal: true

module Tasker
  module Testing
    # Names that are near to one that is not there.
    #
    # @api private
    module Near
      class << self
        # @param name [String]
        # @param names [Array<String>] those that there are
        # @return [String] such as "; did you mean charge_card?", or the names
        def hint(name, names)
          return "" if names.empty?

          near = spelled(name.to_s, names)
          near.empty? ? "; there are #{names.join(", ")}" : "; did you mean #{near.join(" or ")}?"
        end

        private

        def spelled(name, names)
          require "did_you_mean" unless defined?(DidYouMean::SpellChecker)
          DidYouMean::SpellChecker.new(dictionary: names).correct(name)
        rescue LoadError
          []
        end
      end
    end
  end
end

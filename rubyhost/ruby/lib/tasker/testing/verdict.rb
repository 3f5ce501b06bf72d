# frozen_string_literal: true

module Tasker
  module Testing
    # Says to the framework of an example what has become of an assertion.
    #
    # @api private
    module Verdict
      class << self
        # @param example [Object] minitest's test, or what RSpec runs an example in
        # @return [nil]
        def passed(example)
          example.assertions += 1 if example.respond_to?(:assertions=)
          nil
        end

        # @param message [String]
        # @raise the framework's failure
        def failed(example, message)
          return example.flunk(message) if example.respond_to?(:flunk)

          defined?(::RSpec::Expectations) ? ::RSpec::Expectations.fail_with(message) : raise(Error, message)
        end
      end
    end
  end
end

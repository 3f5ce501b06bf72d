# frozen_string_literal: true

module Tasker
  module Testing
    # What a failing example shows of its tasks.
    #
    # @api private
    module Report
      class << self
        # @param example [Example]
        # @return [Array<String>]
        def lines(example)
          example.tasks.flat_map { |task| [task.inspect] }
        end
      end
    end
  end
end

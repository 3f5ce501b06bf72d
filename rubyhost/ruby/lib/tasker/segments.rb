# frozen_string_literal: true

module Tasker
  # The JSON documents that a step comes with, see {Sequence#initialize}. In
  # the host the same methods are in C (segments.c), and make a String only of
  # what is asked for.
  #
  # @api private
  class Segments
    FIRST_RESULT = 5
    NOTHING = [nil, "{}", "null"].freeze
    private_constant :FIRST_RESULT, :NOTHING

    # @param list [Array<String>]
    def initialize(list)
      @list = list
    end

    # @return [String, nil] a document in UTF-8
    def [](index)
      @list[index]
    end

    # @return [Boolean] whether the document says nothing
    def blank?(index)
      NOTHING.include?(@list[index])
    end

    # @param name [String] of a step
    # @return [Integer, nil] where its results are
    def results_index(name)
      place = FIRST_RESULT
      while (candidate = @list[place])
        return place + 1 if candidate == name

        place += 2
      end
    end

    # @return [Array<String>]
    def to_a
      @list
    end
  end
end

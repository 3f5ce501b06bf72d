# frozen_string_literal: true

module Tasker
  # The JSON documents that a step comes with, see {Sequence#initialize}. In
  # the host the same methods are in C (segments.c), and read documents from
  # where Go put them.
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

    # @return [Hash, Array, String, Numeric, true, false, nil] what the document
    #   says; nil when there is none
    def read(index)
      Document.parse(@list[index])
    end

    # @return [Object] as {#read}, but every object is a {Context}
    def read_indifferent(index)
      Document.parse_indifferent(@list[index])
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

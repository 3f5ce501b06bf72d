# frozen_string_literal: true

module Tasker
  # The JSON documents of a step; see {Sequence#initialize}. In the host the same
  # methods are in C (segments.c), and read the documents from the memory into which
  # Go copied them.
  #
  # @api private
  class Segments
    FIRST_RESULT = 6
    NOTHING = [nil, "", "{}", "null"].freeze
    private_constant :FIRST_RESULT, :NOTHING

    # @param list [Array<String>]
    def initialize(list)
      @list = list
    end

    # @return [String, nil] a document in UTF-8
    def [](index)
      @list[index]
    end

    # @return [Hash, Array, String, Numeric, true, false, nil] the parsed document;
    #   nil when there is none
    def read(index)
      Document.parse(@list[index])
    end

    # @return [Object] like {#read}, but every JSON object is a {Context}
    def read_indifferent(index)
      Document.parse_indifferent(@list[index])
    end

    # @return [Boolean] whether the document is missing or empty
    def blank?(index)
      NOTHING.include?(@list[index])
    end

    # @param text [String]
    # @return [Boolean] whether the document has this text in it
    def mentions?(index, text)
      @list[index].to_s.include?(text)
    end

    # Asks for a document that is not in the list. Outside the host there is none.
    #
    # @param _question [String] "heads", "head NAME" or "results NAME"
    # @return [String, nil]
    def ask(_question) = nil

    # @param name [String] of a step
    # @return [Integer, nil] the index of its results
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

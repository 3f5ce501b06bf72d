# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # The errors that the message of a SyntaxError lists. Up to Ruby 3.3 each has file and
      # line before it. Since 3.4 they stand below the lines of the file:
      #
      #   > 2 |   def x(
      #       |        ^ unexpected 'end'; expected a `)`
      module Syntax
        AT = /\A(.+?\.rb):(\d+): (.+)/
        CODE = /\A\s*>?\s*(\d+) \|/
        POINTED = /\A\s*\|\s*\^[~^]*\s*(\S.*)/
        MOST = 20
        private_constant :AT, :CODE, :POINTED, :MOST

        # @param text [String] the message
        # @param file [String] that was to be loaded
        # @return [Array<Array(String, Integer, String)>] file, line and what is wrong
        def self.errors(text, file)
          at = []
          pointed = []
          line = 0
          text.each_line(chomp: true) do |said|
            if (found = said.match(POINTED)) then pointed << [at.empty? ? file : at.last[0], line, "syntax error: #{found[1]}"]
            elsif (found = said.match(CODE)) then line = found[1].to_i
            elsif (found = said.match(AT)) then at << [found[1], found[2].to_i, found[3]]
            end
          end
          found = pointed.any? ? pointed : at
          found.empty? ? [[file, 0, text.lines.first.to_s.chomp]] : found.uniq.first(MOST)
        end
      end
    end
  end
end

# frozen_string_literal: true

require "ripper"

module Tasker
  module Host
    module Survey
      # A Ruby file as a tree. The tree is Ripper's, whose form is the same in all Rubies
      # that tasker-rb runs with.
      module Source
        # Takes the tree's part of Ripper, and none of what it prints or raises.
        class Parser < Ripper::SexpBuilderPP
          def initialize(text, file)
            super
            @failed = false
          end

          # @return [Array, nil] the tree; nil when the text is no Ruby
          def tree
            parsed = parse
            parsed unless @failed || error?
          end

          private

          def failed(*)
            @failed = true
            nil
          end
          alias on_parse_error failed
          alias on_alias_error failed
          alias on_assign_error failed
          alias on_class_name_error failed
          alias on_param_error failed
          alias compile_error failed

          # With -w Ripper would print them.
          def warn(*) = nil
          def warning(*) = nil
        end

        class << self
          # @param file [String]
          # @return [String, nil] what Ruby reads; nil when it cannot be read
          def text(file)
            text = File.binread(file)
            text.slice!(0, 3) if text.start_with?("\xEF\xBB\xBF".b)
            text.force_encoding(Encoding::UTF_8)
            text.valid_encoding? ? text : text.force_encoding(Encoding::BINARY)
          rescue SystemCallError, IOError
            nil
          end

          # @param text [String]
          # @param file [String]
          # @return [Array, nil]
          def tree(text, file)
            Parser.new(text, file).tree
          rescue ArgumentError, EncodingError
            nil # an unknown encoding, or a NUL
          end
        end
      end
    end
  end
end

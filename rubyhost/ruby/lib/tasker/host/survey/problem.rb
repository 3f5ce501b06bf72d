# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # What is wrong at one place. The line is 0 when none is known.
      Problem = Struct.new(:file, :line, :severity, :message, :hint) do
        # @return [Problem] for what will not work
        def self.error(file, line, message, hint = nil) = new(file, line.to_i, "error", message, hint)

        # @return [Problem] for what works, but perhaps not as it was meant
        def self.warning(file, line, message, hint = nil) = new(file, line.to_i, "warning", message, hint)

        # @param place [String] file:line, or a file
        # @return [Array(String, Integer)]
        def self.place(place)
          colon = place.b.rindex(":")
          line = colon && place.byteslice(colon + 1, place.bytesize).b
          line&.match?(/\A\d+\z/n) ? [place.byteslice(0, colon), line.to_i] : [place, 0]
        end

        # Names of files are bytes, and JSON has text.
        #
        # @return [Hash]
        def to_json_hash
          to_h.transform_values { |value| value.is_a?(String) ? Problem.text(value) : value }
        end

        # @param value [String]
        # @return [String] in UTF-8
        def self.text(value)
          return value if value.encoding == Encoding::UTF_8 && value.valid_encoding?

          (value.ascii_only? || value.encoding == Encoding::UTF_8 ? value : value.dup.force_encoding(Encoding::UTF_8)).scrub
        end
      end
    end
  end
end

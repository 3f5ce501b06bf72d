# frozen_string_literal: true

module Tasker
  module Host
    # The rules by which objects that the C files cannot write themselves become JSON.
    # docs/rubyhost.md has the rules as a table.
    module Values
      # How deep a value may nest, in both directions. json_writer.h has the same limit.
      MAX_DEPTH = 1000
      # How many digits a number may have. json_bounds.c has the same limit.
      DIGITS = 131_072
      DIGIT_BITS = 435_412
      # Bytes of the excerpts in error messages, and the levels that are shown at
      # each end of a long path.
      EXCERPT = 80
      PATH_ENDS = 20
      # A longer String is converted piece by piece, so that it can be interrupted.
      PIECE = 64 * 1024

      PROBLEMS = {
        "nul" => "a String with a NUL character, which PostgreSQL's jsonb cannot hold",
        "encoding" => "a String whose bytes are not valid in its encoding",
        "float" => "a Float that JSON has no notation for",
        "number" => "a number whose to_s is no number",
        "cycle" => "an object that contains itself",
        "depth" => "nesting deeper than #{MAX_DEPTH} levels",
        "digits" => "a number with more than #{DIGITS} digits",
        "size" => "too large",
        "reentered" => "written a second time, because a Continuation was called again",
        "duplicate" => "two keys that are the same once they are Strings",
        "key" => "a key that has no String form",
        "unknown" => "an object that has no JSON form (give it to_h, or put plain values in its place)"
      }.freeze

      class << self
        # Turns an object that JSON does not know into a String, Integer, Float,
        # true, false, nil, Hash or Array. Without a rule it returns the object. A
        # Symbol names a problem.
        #
        # @param limit [Integer] of the result's bytes
        def plain(value, limit)
          case value
          when Time then time(value)
          when Rational, Complex then value.to_s
          when Struct then value.to_h
          when Exception then { "class" => value.class.name, "message" => value.message }
          when Module, Proc, Method, UnboundMethod, IO, Thread then value
          else by_protocol(value, limit)
          end
        end

        # @param limit [Integer] of the result's bytes
        # @return [String, nil] in UTF-8; nil when the bytes are not valid. A long
        #   String may still be invalid: json_text.c looks at all of it.
        def utf8(string, limit)
          return string.dup.force_encoding(Encoding::UTF_8) if string.encoding == Encoding::BINARY
          return utf8_by_pieces(string, limit) if string.bytesize > PIECE
          return nil unless string.valid_encoding?

          string.encode(Encoding::UTF_8)
        rescue EncodingError
          nil
        end

        # json_bounds.c calls this for a value that cannot be written.
        def fail(problem, path, culprit)
          raise UnrepresentableError.new(
            "#{place(path)} is #{PROBLEMS.fetch(problem)}#{excerpt(problem, culprit)}",
            path: place(path)
          )
        end

        private

        def utf8_by_pieces(string, limit)
          converter = Encoding::Converter.new(string.encoding, Encoding::UTF_8)
          rest = string.dup
          text = String.new(encoding: Encoding::UTF_8)
          loop do
            case converter.primitive_convert(rest, text, nil, PIECE)
            when :destination_buffer_full then return text if text.bytesize > limit
            when :finished then return text
            else return nil
            end
          end
        end

        def time(value)
          return :digits if value.to_i.bit_length > DIGIT_BITS

          rounded = value.round(9)
          rounded.iso8601(fraction(rounded))
        end

        def fraction(time)
          time.nsec.zero? ? 0 : time.nsec.to_s.rjust(9, "0").sub(/0+\z/, "").size
        end

        # Classes of libraries that may not be loaded are known by name. Other
        # objects are asked in the order of Rails' as_json and Ruby's own json.
        def by_protocol(value, limit)
          return decimal(value) if defined?(BigDecimal) && value.is_a?(BigDecimal) && value.finite?
          return date(value) if defined?(Date) && value.is_a?(Date)
          return value.to_a if defined?(Set) && value.is_a?(Set)
          return core(value.as_json, value) if RubyVersions.own_as_json?(value)
          return delegated(value, limit) if RubyVersions.delegator?(value)
          return value.to_a if RubyVersions.only_enumerable?(value)
          return core(value.to_h, value) if value.respond_to?(:to_h)
          return parsed(value.to_json, limit) if RubyVersions.own_to_json?(value)

          value
        end

        # A decorator without a form of its own has that of what it wraps.
        def delegated(value, limit)
          return core(value.to_h, value) if RubyVersions.own(value, :to_h)
          return parsed(value.to_json, limit) if RubyVersions.own_to_json?(value)

          wrapped = value.__getobj__
          form = core(wrapped, value)
          form.equal?(value) ? plain(wrapped, limit) : form
        end

        def decimal(value)
          significant = RubyVersions.significant_digits(value)
          exponent = value.exponent
          [exponent, significant, significant - exponent].max > DIGITS ? :digits : value.to_s("F")
        end

        def date(value)
          value.jd.bit_length > DIGIT_BITS ? :digits : value.iso8601
        end

        def parsed(text, limit)
          text.bytesize > limit ? :size : RubyVersions.parse_json(text, max_nesting: MAX_DEPTH)
        end

        def core(plain, value)
          case plain
          when Hash, Array, String, Integer, Float, true, false, nil then plain
          when Symbol then plain.name
          else value
          end
        end

        def place(path)
          return steps("results", path) if path.size <= 2 * PATH_ENDS

          left_out = " ... #{path.size - (2 * PATH_ENDS)} levels ... "
          steps(steps("results", path.first(PATH_ENDS)) + left_out, path.last(PATH_ENDS))
        end

        def steps(start, path)
          path.reduce(+start) do |text, key|
            next text << "[#{key}]" if key.is_a?(Integer)

            name = short(key.to_s)
            text << (name.match?(/\A[A-Za-z_]\w*\z/) ? ".#{name}" : "[#{name.inspect}]")
          end
        end

        def excerpt(problem, culprit)
          case problem
          when "float" then ": #{culprit.inspect[0, EXCERPT]}"
          when "key" then ": #{Article.of(culprit.class)}"
          when "encoding" then " #{culprit.encoding}: #{culprit.byteslice(0, 40).inspect}"
          when "unknown" then ": #{Article.of(culprit.class)}"
          when "duplicate" then ": #{short(culprit).inspect}"
          when "size" then ": a step's results may have #{culprit} bytes of JSON (MaxResultBytes). " \
                           "Store what is large elsewhere, and return its key"
          else ""
          end
        rescue StandardError
          ""
        end

        def short(text)
          text.bytesize > EXCERPT ? "#{text.byteslice(0, EXCERPT).scrub("")}..." : text
        end
      end
    end
  end
end

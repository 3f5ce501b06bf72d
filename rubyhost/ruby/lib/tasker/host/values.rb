# frozen_string_literal: true

module Tasker
  module Host
    # The rules by which objects that json.c cannot write itself become JSON.
    # docs/rubyhost.md has the rules as a table.
    module Values
      # How deep a value may nest, in both directions. json.c has the same limit.
      MAX_DEPTH = 1000

      PROBLEMS = {
        "nul" => "a String with a NUL character, which PostgreSQL's jsonb cannot hold",
        "encoding" => "a String whose bytes are not valid in its encoding",
        "float" => "a Float that JSON has no notation for",
        "number" => "a number whose to_s is no number",
        "cycle" => "an object that contains itself",
        "depth" => "nesting deeper than #{MAX_DEPTH} levels",
        "duplicate" => "two keys that are the same once they are Strings",
        "key" => "a key that has no String form",
        "unknown" => "an object that has no JSON form (give it to_h, or put plain values in its place)"
      }.freeze

      class << self
        # Turns an object that JSON does not know into a String, Integer, Float,
        # true, false, nil, Hash or Array. Without a rule it returns the object.
        def plain(value)
          case value
          when Time then value.round(9).then { |t| t.utc? ? t.iso8601(fraction(t)) : t.iso8601(fraction(t)) }
          when Rational, Complex then value.to_s
          when Struct then value.to_h
          when Exception then { "class" => value.class.name, "message" => value.message }
          when Module, Proc, Method, UnboundMethod, IO, Thread then value
          else by_protocol(value)
          end
        end

        # @return [String, nil] in UTF-8; nil when the bytes are not valid
        def utf8(string)
          if string.encoding == Encoding::BINARY
            copy = string.dup.force_encoding(Encoding::UTF_8)
            return copy.valid_encoding? ? copy : nil
          end
          return nil unless string.valid_encoding?

          string.encode(Encoding::UTF_8)
        rescue EncodingError
          nil
        end

        # @return [String, nil] the first key that comes twice as a String
        def duplicate_key(hash)
          seen = {}
          hash.each_key do |key|
            name = key.to_s
            next unless name.is_a?(String) && (name = utf8(name)) # json.c says what is wrong with it

            return name if seen[name]

            seen[name] = true
          end
          nil
        end

        # json.c calls this for a value that it cannot write.
        def fail(problem, path, culprit)
          raise UnrepresentableError.new(
            "#{place(path)} is #{PROBLEMS.fetch(problem)}#{excerpt(problem, culprit)}",
            path: place(path)
          )
        end

        private

        def fraction(time)
          time.nsec.zero? ? 0 : time.nsec.to_s.rjust(9, "0").sub(/0+\z/, "").size
        end

        # Classes of libraries that may not be loaded are known by name. Other
        # objects are asked in the order of Rails' as_json and Ruby's own json.
        def by_protocol(value)
          return value.to_s("F") if defined?(BigDecimal) && value.is_a?(BigDecimal) && value.finite?
          return value.iso8601 if defined?(Date) && value.is_a?(Date)
          return value.to_a if defined?(Set) && value.is_a?(Set)
          return core(value.as_json, value) if value.respond_to?(:as_json)
          return core(value.to_h, value) if value.respond_to?(:to_h)
          return JSON.parse(value.to_json, max_nesting: MAX_DEPTH) if own_to_json?(value)

          value
        end

        def core(plain, value)
          case plain
          when Hash, Array, String, Integer, Float, true, false, nil then plain
          when Symbol then plain.name
          else value
          end
        end

        # Object#to_json, which the json library adds, would write to_s.
        def own_to_json?(value)
          value.method(:to_json).owner != JSON::Ext::Generator::GeneratorMethods::Object
        rescue NameError
          false
        end

        def place(path)
          path.reduce(+"results") do |text, key|
            case key
            when Integer then text << "[#{key}]"
            when Symbol, String then text << (key.match?(/\A[A-Za-z_]\w*\z/) ? ".#{key}" : "[#{key.to_s.inspect}]")
            else text << "[#{key.inspect}]"
            end
          end
        end

        def excerpt(problem, culprit)
          case problem
          when "float", "key" then ": #{culprit.inspect[0, 80]}"
          when "encoding" then " #{culprit.encoding}: #{culprit.byteslice(0, 40).inspect}"
          when "unknown" then ": a #{culprit.class}"
          when "duplicate" then ": #{culprit.inspect[0, 80]}"
          else ""
          end
        rescue StandardError
          ""
        end
      end
    end

    # A step's result that JSON, or PostgreSQL's jsonb, cannot hold. A retry
    # cannot help.
    class UnrepresentableError < Tasker::PermanentError
      # @return [String] the place in the value, such as results.items[3].price
      attr_reader :path

      def initialize(message, path:)
        @path = path
        super(message, error_code: "UNREPRESENTABLE_RESULT", context: { "path" => path })
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  class DB
    # Turns PostgreSQL's values into Ruby's, by the number of their type.
    #
    # @!visibility private
    module Decode
      INTEGER = ->(s) { s.to_i }
      FLOAT = lambda do |s|
        case s
        when "NaN" then Float::NAN
        when "Infinity" then Float::INFINITY
        when "-Infinity" then -Float::INFINITY
        else s.to_f
        end
      end
      NUMERIC = ->(s) { BigDecimal(s) } # NaN and infinities too
      BOOLEAN = ->(s) { s == "t" }
      JSON_VALUE = ->(s) { RubyVersions.parse_json(s, max_nesting: false) }
      BYTEA = ->(s) { Postgres::Connection.unescape_bytea(s) }
      DATE = ->(s) { s.match?(/\A\d{4,}-\d\d-\d\d\z/) ? Date.iso8601(s) : s }

      TIME = /\A(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d(?:\.\d+)?)(?:([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?)?\z/.freeze

      # A time without a zone counts as UTC. When Ruby has no Time for a value
      # (infinity, BC), the String is returned.
      TIMESTAMP = lambda do |s|
        m = TIME.match(s) or next s
        seconds = m[6].include?(".") ? Rational(m[6]) : m[6].to_i
        zone = m[7] ? "#{m[7]}#{m[8]}:#{m[9] || "00"}" : nil
        zone = "#{zone}:#{m[10]}" if m[10]
        args = [m[1].to_i, m[2].to_i, m[3].to_i, m[4].to_i, m[5].to_i, seconds]
        zone ? Time.new(*args, zone) : Time.utc(*args)
      end

      BY_TYPE = {
        16 => BOOLEAN, 17 => BYTEA, 20 => INTEGER, 21 => INTEGER, 23 => INTEGER, 26 => INTEGER,
        114 => JSON_VALUE, 3802 => JSON_VALUE, 700 => FLOAT, 701 => FLOAT, 1700 => NUMERIC,
        1082 => DATE, 1114 => TIMESTAMP, 1184 => TIMESTAMP
      }.freeze

      # The number of an array type => that of its elements' type.
      ARRAYS = {
        1000 => 16, 1001 => 17, 1016 => 20, 1005 => 21, 1007 => 23, 1028 => 26, 199 => 114, 3807 => 3802,
        1021 => 700, 1022 => 701, 1231 => 1700, 1182 => 1082, 1115 => 1114, 1185 => 1184,
        1009 => 25, 1015 => 1043, 1014 => 1042, 2951 => 2950, 1002 => 18, 1003 => 19, 1183 => 1083, 1187 => 1186
      }.freeze

      class << self
        # @param result [Postgres::Result]
        # @return [Array<Hash{String=>Object}>]
        def rows(result)
          names = result.fields
          decoders = Array.new(names.size) { |i| for_type(result.ftype(i)) }
          Array.new(result.ntuples) do |r|
            row = {}
            result.tuple_values(r).each_with_index do |text, i|
              decoder = decoders[i]
              row[names[i]] = text && decoder ? decoder.call(text) : text
            end
            row
          end
        end

        private

        def for_type(type)
          BY_TYPE[type] || (ARRAYS[type] && array_of(BY_TYPE[ARRAYS[type]]))
        end

        def array_of(decoder)
          ->(s) { ArrayReader.new(s, decoder).read }
        end
      end

      # Reads {1,NULL,"a \"quoted\" word",{2,3}}.
      class ArrayReader
        def initialize(text, decoder)
          @text = text
          @at = text.index("{") # skips bounds, as in [2:3]={1,2}
          @decoder = decoder
        end

        def read
          @at += 1
          values = []
          until @text[@at] == "}"
            @at += 1 if @text[@at] == ","
            values << value unless @text[@at] == "}"
          end
          @at += 1
          values
        end

        private

        def value
          case @text[@at]
          when "{" then read
          when "\"" then decode(quoted)
          else
            word = @text[@at...@text.index(/[,}]/, @at)]
            @at += word.size
            word == "NULL" ? nil : decode(word)
          end
        end

        def quoted
          stop = @text.index(/(?<!\\)(?:\\\\)*"/, @at + 1)
          stop += Regexp.last_match(0).size
          inner = @text[(@at + 1)...(stop - 1)]
          @at = stop
          inner.gsub(/\\(.)/m, '\1')
        end

        def decode(text)
          @decoder ? @decoder.call(text) : text
        end
      end
    end
  end
end

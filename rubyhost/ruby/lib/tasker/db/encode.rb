# frozen_string_literal: true

module Tasker
  class DB
    # Turns Ruby values into parameters for PostgreSQL.
    #
    # @!visibility private
    module Encode
      class << self
        # @return [String, Postgres::Channel::Param, nil]
        def param(value)
          case value
          when nil then nil
          when String then string(value)
          when Integer, true, false then value.to_s
          when Hash then RubyVersions.generate_json(value)
          when Array
            Postgres::Channel::Param.new(Postgres::Channel::EITHER, array(value), json(value))
          else scalar(value)
          end
        end

        private

        # A String in binary encoding is sent as bytes. A column of type text takes
        # these as well as a bytea column does.
        def string(value)
          return value if value.encoding == Encoding::UTF_8 || value.encoding == Encoding::US_ASCII
          return value.encode(Encoding::UTF_8) unless value.encoding == Encoding::BINARY
          return value if value.ascii_only? && !value.include?("\\")

          Postgres::Channel::Param.new(Postgres::Channel::BINARY, value)
        end

        def scalar(value)
          case value
          when Float then float(value)
          when BigDecimal then decimal(value)
          when Symbol then value.name
          when Time then value.strftime("%Y-%m-%d %H:%M:%S.%N%:z")
          when DateTime then value.strftime("%Y-%m-%d %H:%M:%S.%N%:z")
          when Date then value.strftime("%Y-%m-%d")
          when Rational then decimal(BigDecimal(value, 30))
          else other(value)
          end
        end

        def other(value)
          return RubyVersions.generate_json(value.to_h) if value.respond_to?(:to_h)
          return value.to_str if value.respond_to?(:to_str)

          raise ArgumentError, "#{value.class} cannot be a parameter of SQL; give a String, a number, a Time or a Hash"
        end

        def float(value)
          return value.to_s if value.finite?

          value.nan? ? "NaN" : "#{"-" if value.negative?}Infinity"
        end

        def decimal(value)
          return float(value.to_f) unless value.finite?

          value.to_s("F")
        end

        # Writes an array as PostgreSQL does: {1,NULL,"a \"quoted\" word",{2,3}}
        def array(values)
          "{#{values.map { |v| element(v) }.join(",")}}"
        end

        def element(value)
          case value
          when nil then "NULL"
          when Array then array(value)
          when Integer, true, false then value.to_s
          else
            text = param(value)
            if text.is_a?(Postgres::Channel::Param)
              text = text.form == Postgres::Channel::BINARY ? Postgres::Connection.escape_bytea(text.text) : text.text
            end
            "\"#{text.gsub(/["\\]/) { |c| "\\#{c}" }}\""
          end
        end

        # Empty when JSON cannot hold the values. The parameter can then only be an
        # array.
        def json(values)
          RubyVersions.generate_json(values)
        rescue JSON::GeneratorError, EncodingError
          ""
        end
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module Postgres
    # Writes values as parts of a statement's text. PG::Connection has these
    # methods on the class and on its instances, and so has {Connection}.
    module Escaping
      def escape_string(text)
        text.to_s.gsub("'", "''")
      end
      alias escape escape_string

      def quote_ident(name)
        return name.map { |n| quote_ident(n) }.join(".") if name.is_a?(Array)

        "\"#{name.to_s.gsub('"', '""')}\""
      end

      def escape_bytea(bytes)
        "\\x#{bytes.unpack1("H*")}"
      end

      # @param text [String] as the server writes a bytea
      # @return [String] the bytes
      def unescape_bytea(text)
        return [text.byteslice(2..)].pack("H*") if text.start_with?("\\x")

        text.b.gsub(/\\(\\|[0-7]{3})/n) { Regexp.last_match(1) == "\\" ? "\\".b : Regexp.last_match(1).oct.chr }
      end

      # The methods that PG::Connection has on its instances only.
      module OfInstances
        include Escaping

        def escape_literal(text)
          text = text.to_s
          return "'#{text.gsub("'", "''")}'" unless text.include?("\\")

          " E'#{text.gsub("'", "''").gsub("\\") { "\\\\" }}'"
        end

        def escape_identifier(name)
          quote_ident(name.to_s)
        end
      end
    end
  end
end

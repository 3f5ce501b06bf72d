# frozen_string_literal: true

module Tasker
  module Postgres
    # The result of a failed statement, with the methods of PG::Result.
    # error_field takes libpq's codes.
    class Failure
      # The field for each of libpq's PG_DIAG_ codes, which are characters.
      FIELDS = {
        "S" => "severity", "V" => "severity", "C" => "state", "M" => "message", "D" => "detail", "H" => "hint",
        "P" => "position", "W" => "where", "s" => "schema", "t" => "table", "c" => "column", "d" => "data_type",
        "n" => "constraint", "F" => "file", "L" => "line", "R" => "routine"
      }.freeze
      FATAL_ERROR = 7 # PGRES_FATAL_ERROR
      # There is no connection, or the server has ended it. The pg gem knows no more than that.
      GONE = /\A(?:0800[136]|25P0[34]|57P0[1-5])\z/.freeze
      private_constant :GONE

      # @return [Hash{String=>Object}]
      attr_reader :fields

      # @param connection [Connection, nil] the one that {#check}'s exception names
      def initialize(fields, connection = nil)
        @fields = fields
        @connection = connection
      end

      # @raise the statement's error
      def check
        raise exception(@connection)
      end
      alias check_result check

      # @param code [Integer] one of PG::PG_DIAG_…
      # @return [String, nil]
      def error_field(code)
        @fields[FIELDS[code.chr]]&.to_s
      end
      alias result_error_field error_field

      # @return [String]
      def error_message
        lines = ["#{@fields["severity"] || "ERROR"}:  #{@fields["message"]}"]
        told.each { |k| lines << "#{k == "where" ? "CONTEXT" : k.upcase}:  #{@fields[k]}" if @fields[k] }
        "#{lines.join("\n")}\n"
      end
      alias result_error_message error_message

      def result_status
        FATAL_ERROR
      end

      def cleared?
        false
      end

      def clear; end

      # The pg gem's exception when the gem is loaded, else a {SQLError}. A broken
      # rule of tasker-rb, such as COMMIT in a step, is always a {SQLError}.
      #
      # @param connection [Connection]
      # @return [Exception]
      def exception(connection)
        return SQLError.from(@fields) if @fields["rule"] || !defined?(::PG::ERROR_CLASSES)

        error = pg_class.new(error_message)
        error.set_backtrace(@fields["place"]) if @fields["place"]
        error.instance_variable_set(:@connection, connection)
        # As in the pg gem: libpq's own errors have no result.
        error.instance_variable_set(:@result, self) unless error.is_a?(::PG::ConnectionBad)
        error
      end

      private

      # The fields after the message.
      def told
        %w[detail hint where]
      end

      def pg_class
        state = @fields["state"].to_s
        return ::PG::ConnectionBad if GONE.match?(state) || pooler_lost_server?(state)

        ::PG::ERROR_CLASSES[state] || ::PG::ERROR_CLASSES[state[0, 2]] || ::PG::ServerError
      end

      # A pooler's words for that have the SQLSTATE of PostgreSQL's for a wrong number of
      # parameters. The host tells the two apart.
      def pooler_lost_server?(state)
        state == "08P01" && @fields["class"] == "ConnectionLost"
      end
    end

    # A notice or warning of the server, with the methods of PG::Result.
    class Notice < Failure
      NONFATAL_ERROR = 6 # PGRES_NONFATAL_ERROR

      def result_status
        NONFATAL_ERROR
      end

      private

      # As in libpq: an error's message has a context, and a notice's has none.
      def told
        %w[detail hint]
      end
    end
  end
end

# frozen_string_literal: true

module Tasker
  module Postgres
    # The answer to a statement, with the methods of PG::Result. A value is cut out
    # of the answer's bytes when it is read.
    class Result
      include Enumerable

      # libpq's ExecStatusType.
      EMPTY_QUERY = 0
      COMMAND_OK = 1
      TUPLES_OK = 2
      COPY_OUT = 3
      COPY_IN = 4

      COLUMN = "L<L<S<s<l<CS<"
      COLUMN_SIZE = 19

      Column = Struct.new(:name, :type, :table, :number, :size, :modifier, :format)
      private_constant :Column, :COLUMN, :COLUMN_SIZE

      # @return [Integer]
      attr_reader :ntuples
      alias num_tuples ntuples
      # @return [String] such as "INSERT 0 1"
      attr_reader :cmd_status
      # @return [Array<String>] the columns' names
      attr_reader :fields
      attr_reader :type_map

      # @param reply [Channel::Reply]
      # @param type_map [#coders, nil] see {#type_map=}
      def initialize(reply, type_map = nil)
        @ntuples = reply.rows
        @cmd_status = reply.tag
        @copy = reply.copy
        @body = reply.body
        read_columns(reply.columns, reply.columns_at)
        self.type_map = type_map if type_map
      end

      def nfields
        @columns.size
      end
      alias num_fields nfields

      def fname(index)
        column(index).name
      end

      def fnumber(name)
        @fields.index(name.to_s) or raise ArgumentError, "Unknown field: #{name}"
      end

      def ftype(index)
        column(index).type
      end

      def fmod(index)
        column(index).modifier
      end

      def fsize(index)
        column(index).size
      end

      def fformat(index)
        column(index).format
      end

      def ftable(index)
        column(index).table
      end

      def ftablecol(index)
        column(index).number
      end

      # @return [Object, nil] the value that the type map makes; without a map, a
      #   String
      def getvalue(row, index)
        check_place(row, index)
        value(row, index)
      end

      def getisnull(row, index)
        check_place(row, index)
        ends[(row * @width) + index].negative?
      end

      def getlength(row, index)
        check_place(row, index)
        raw(row, index)&.bytesize || 0
      end

      # @return [Hash{String=>Object}] the row
      def [](row)
        raise IndexError, "Index #{row} is out of range" if row.negative? || row >= @ntuples

        hash = {}
        @width.times { |i| hash[@fields[i]] = value(row, i) }
        hash
      end
      alias tuple []

      def tuple_values(row)
        raise IndexError, "Index #{row} is out of range" if row.negative? || row >= @ntuples

        Array.new(@width) { |i| value(row, i) }
      end

      # @yieldparam row [Hash{String=>Object}]
      def each
        return to_enum(:each) { @ntuples } unless block_given?

        @ntuples.times { |r| yield self[r] }
        self
      end

      # @yieldparam row [Array]
      def each_row
        return to_enum(:each_row) { @ntuples } unless block_given?

        @ntuples.times { |r| yield tuple_values(r) }
        self
      end
      alias stream_each each
      alias stream_each_row each_row

      # @return [Array<Array>]
      def values
        Array.new(@ntuples) { |r| tuple_values(r) }
      end

      def column_values(index)
        column(index)
        Array.new(@ntuples) { |r| value(r, index) }
      end

      def field_values(name)
        column_values(fnumber(name))
      end

      # @return [Integer] how many rows the statement touched or returned
      def cmd_tuples
        @cmd_status[/\d+\z/].to_i
      end
      alias cmdtuples cmd_tuples

      def oid_value
        0
      end

      def result_status
        case @copy
        when 73 then COPY_IN
        when 79 then COPY_OUT
        else @width.positive? || @cmd_status.start_with?("SELECT") ? TUPLES_OK : plain_status
        end
      end

      def res_status(status = result_status)
        { EMPTY_QUERY => "PGRES_EMPTY_QUERY", COMMAND_OK => "PGRES_COMMAND_OK", TUPLES_OK => "PGRES_TUPLES_OK",
          COPY_OUT => "PGRES_COPY_OUT", COPY_IN => "PGRES_COPY_IN" }[status]
      end

      def error_message
        ""
      end
      alias result_error_message error_message

      def error_field(_code)
        nil
      end
      alias result_error_field error_field

      def check
        nil
      end
      alias check_result check

      # Frees the answer. A value asked for later raises, as with the pg gem.
      def clear
        @body = @ends = nil
        @cleared = true
        nil
      end

      def cleared?
        @cleared ? true : false
      end
      alias autoclear? cleared?

      # @param map [#coders] such as a PG::TypeMapByOid
      def type_map=(map)
        @type_map = map
        @decoders = TypeMap.decoders(map, @columns)
      end

      def map_types!(map)
        self.type_map = map
        self
      end

      def field_name_type
        :string
      end

      # @return [Array<String>] the lines of COPY … TO STDOUT
      # @!visibility private
      def copied
        Array.new(@ntuples) { |r| raw(r, 0) }
      end

      # @return [Result] the end of a COPY … TO STDOUT, after its lines
      # @!visibility private
      def without_rows
        Result.new(Channel::Reply.bare(@cmd_status))
      end

      private

      def read_columns(count, at)
        @columns = Array.new(count) do
          type, table, number, size, modifier, format, length = @body.byteslice(at, COLUMN_SIZE).unpack(COLUMN)
          name = @body.byteslice(at + COLUMN_SIZE, length)
          at += COLUMN_SIZE + length
          Column.new(name, type, table, number, size, modifier, format)
        end
        @fields = @columns.map(&:name)
        @width = count
        @width = 1 if @copy == 79
        @ends_at = at
        @values_at = at + (4 * @ntuples * @width)
      end

      def plain_status
        @cmd_status.empty? ? EMPTY_QUERY : COMMAND_OK
      end

      def ends
        raise_cleared if @cleared
        @ends ||= @body.byteslice(@ends_at, 4 * @ntuples * @width).unpack("l<*")
      end

      def raise_cleared
        raise defined?(::PG::Error) ? ::PG::Error : SQLError, "result has been cleared"
      end

      # ends has the end of each value. For a NULL it is the bitwise complement of
      # the position, which is negative.
      def raw(row, index)
        ends = self.ends
        at = (row * @width) + index
        stop = ends[at]
        return nil if stop.negative?

        start = at.zero? ? 0 : ends[at - 1]
        start = ~start if start.negative?
        @body.byteslice(@values_at + start, stop - start)
      end

      def value(row, index)
        text = raw(row, index) or return nil
        text.force_encoding(Encoding::BINARY) if @columns[index].format == 1
        decoder = @decoders && @decoders[index]
        decoder ? decoder.decode(text, row, index) : text
      end

      def column(index)
        (index.is_a?(Integer) && index >= 0 && @columns[index]) or
          raise ArgumentError, "invalid field number #{index.inspect}"
      end

      def check_place(row, index)
        raise ArgumentError, "invalid tuple number #{row}" if !row.is_a?(Integer) || row.negative? || row >= @ntuples
        raise ArgumentError, "invalid field number #{index}" if !index.is_a?(Integer) || index.negative? || index >= @width
      end
    end

    # Applies the pg gem's type maps to results and parameters.
    #
    # @!visibility private
    module TypeMap
      class << self
        # @return [Array<#decode, nil>, nil] a decoder for each column; nil when the
        #   map has no decoder for any of them
        def decoders(map, columns)
          by_type = {}
          while map.respond_to?(:coders)
            map.coders.each { |c| by_type[[c.format, c.oid]] ||= c if c.respond_to?(:decode) }
            map = map.respond_to?(:default_type_map) ? map.default_type_map : nil
          end
          found = columns.map { |c| by_type[[c.format, c.type]] }
          found.any? ? found : nil
        end

        # @return [String, Channel::Param, nil] the parameter to send
        def encode(map, value)
          case value
          when nil then nil
          when String then map.nil? ? value : encode_object(map, value)
          when Hash then encode_hash(map, value)
          else encode_object(map, value)
          end
        end

        private

        # The pg gem's form: { value:, type:, format: }.
        def encode_hash(map, hash)
          return encode_object(map, hash) unless hash.key?(:value)

          value = encode(map, hash[:value])
          value = value.text if value.is_a?(Channel::Param)
          typed(value, hash[:format], hash[:type])
        end

        def encode_object(map, value)
          coder = coder_for(map, value) or return value.to_s
          text = coder.encode(value) or return nil
          typed(text.to_s, coder.format, coder.oid)
        end

        def typed(text, format, type)
          return text if text.nil? || (format != 1 && (type.nil? || type.zero?))

          Channel::Param.new(format == 1 ? Channel::BINARY : Channel::TEXT, text, nil, type || 0)
        end

        # Looks the coder up as PG::TypeMapByClass does.
        def coder_for(map, value)
          return nil unless map.respond_to?(:coders) && map.respond_to?(:[])

          coder = nil
          value.class.ancestors.each { |c| break if (coder = map[c]) }
          case coder
          when Symbol then map.__send__(coder, value)
          when Proc then coder.call(value)
          else coder
          end
        rescue ArgumentError, TypeError
          nil
        end
      end
    end
  end
end

# frozen_string_literal: true

require_relative "escaping"

module Tasker
  module Postgres
    # A connection with the methods of PG::Connection.
    #
    # It is a logical connection. Inside a step its statements run in the step's
    # transaction, which the engine commits together with the step's results.
    # Savepoints work there; BEGIN, COMMIT and ROLLBACK are refused. Outside steps
    # it takes a physical connection while a transaction is open, and keeps one
    # after a SET.
    #
    # Like the pg gem's, it is not thread-safe outside steps.
    class Connection
      extend Escaping
      include Escaping::OfInstances

      IDLE = 0 # PQTRANS_IDLE
      INTRANS = 2
      INERROR = 3
      UNKNOWN = 4
      GONE = 88 # X
      STATUS = { 73 => IDLE, 84 => INTRANS, 69 => INERROR, GONE => UNKNOWN }.freeze
      private_constant :STATUS, :GONE

      SET = /\A\s*SET\s+(?:SESSION\s+)?(?!LOCAL\b|SESSION\b|TRANSACTION\b|CONSTRAINTS\b)((TIME\s+ZONE|[\w.]+)\b.*?);?\s*\z/im.freeze
      private_constant :SET

      @lock = Mutex.new
      @last = 0

      class << self
        # @return [Integer]
        # @!visibility private
        def next_number
          @lock.synchronize { @last += 1 }
        end
      end

      attr_reader :type_map_for_results, :type_map_for_queries
      attr_writer :type_map_for_queries

      def initialize(*)
        @number = Connection.next_number
        @statements = {}
        @settings = []
        @configuring = false
        number = @number
        ObjectSpace.define_finalizer(self, Connection.forgetting(number))
      end

      # @!visibility private
      def self.forgetting(number)
        proc { Channel.forget(number) }
      end

      # @!group Statements

      # Runs one statement, or several in one text.
      #
      # @param sql [String]
      # @param params [Array, nil] for $1, $2, …; with params, sql must be one
      #   statement
      # @return [Result] of the last statement
      # @yieldparam result [Result] cleared after the block, whose value is returned
      def exec(sql, params = nil, result_format = 0, type_map = nil, &block)
        return exec_params(sql, params, result_format, type_map, &block) if params

        setting = @configuring ? SET.match(sql) : nil
        result = run(setting ? "SET LOCAL #{setting[1]}" : sql, nil, 0) # LOCAL: this only checks the setting
        remember(setting) if setting
        give(result, &block)
      end
      alias query exec
      alias async_exec exec
      alias async_query exec
      alias sync_exec exec

      # @param params [Array]
      # @param result_format [Integer] 1 for binary values
      # @return [Result]
      def exec_params(sql, params, result_format = 0, type_map = nil, &block)
        map = type_map || @type_map_for_queries
        give(run(sql, params.map { |p| TypeMap.encode(map, p) }, result_format), &block)
      end
      alias async_exec_params exec_params
      alias sync_exec_params exec_params

      # Remembers a text under a name, for use in every step. The host decides when
      # to prepare it on a physical connection.
      def prepare(name, sql, _param_types = nil)
        @statements[name.to_s] = sql
        nil
      end
      alias async_prepare prepare
      alias sync_prepare prepare

      # @return [Result]
      def exec_prepared(name, params = [], result_format = 0, type_map = nil, &block)
        sql = @statements.fetch(name.to_s) do
          fail_with("class" => "", "state" => "26000", "severity" => "ERROR",
                    "message" => "prepared statement #{name.to_s.inspect} does not exist")
        end
        exec_params(sql, params || [], result_format, type_map, &block)
      end
      alias async_exec_prepared exec_prepared
      alias sync_exec_prepared exec_prepared

      # Forgets a prepared text, or all of them.
      def deallocate(name = nil)
        name ? @statements.delete(name.to_s) : @statements.clear
        nil
      end

      # @!group Sending now, reading later

      # Here sending waits for the answer already.

      def send_query(sql, params = nil, *rest)
        @pending = [exec(sql, params, *rest)]
        nil
      end

      def send_query_params(sql, params, *rest)
        send_query(sql, params, *rest)
      end

      def send_query_prepared(name, params = [], *rest)
        @pending = [exec_prepared(name, params, *rest)]
        nil
      end

      def get_result
        result = @pending&.shift
        return result unless block_given?

        yield result
      end

      # @return [Result, nil] the result of a COPY that has ended, or of the last
      #   statement
      # @raise when that failed
      def get_last_result
        result, @pending = @pending&.last, nil
        result&.check
        result
      end
      alias async_get_last_result get_last_result

      def set_single_row_mode
        self
      end

      def discard_results
        @pending = @copying = @copied = @copy_end = nil
        true
      end

      def block(_timeout = nil)
        true
      end

      def consume_input; end

      def is_busy
        false
      end

      def cancel
        nil
      end

      # @!group COPY

      # @param sql [String] COPY … FROM STDIN or COPY … TO STDOUT
      # @yieldparam result [Result]
      def copy_data(sql, _coder = nil)
        result = exec(sql)
        value = yield result
        put_copy_end if @copying
        get_last_result
        @copied = nil
        value
      rescue StandardError => e
        put_copy_end(e.message) if @copying
        raise
      end

      def put_copy_data(data, _coder = nil)
        @copying or fail_with("state" => "08P01", "message" => "no COPY in progress")
        @copying.last << data.b
        true
      end
      alias sync_put_copy_data put_copy_data

      # Sends the collected data. get_result then returns the result.
      #
      # @param error [String, nil] the reason, to cancel the COPY
      def put_copy_end(error = nil)
        sql, data = @copying
        @copying = nil
        @pending = [error ? cancelled_copy(error) : copy_in(sql, data)]
        true
      end

      # @return [String, nil] the next line of COPY … TO STDOUT
      def get_copy_data(_async = false, decoder = nil)
        line = @copied&.shift
        return decoder ? decoder.decode(line) : line if line

        @pending, @copy_end = [@copy_end], nil if @copy_end
        nil
      end

      # @!group Transactions

      # Whether the caller runs in a step. The engine owns the step's transaction.
      def in_step?
        serial = Host.job_serial
        known, inside = @place
        return inside if known == serial

        inside = Channel.state(@number).first
        @place = [serial, inside].freeze # one assignment, because other threads may read it
        inside
      end

      # @return [Integer] PQTRANS_IDLE, INTRANS or INERROR; UNKNOWN when the connection
      #   was lost in a transaction
      def transaction_status
        STATUS.fetch(Channel.state(@number).last)
      end

      # Runs the block in a transaction. Inside a step this is a savepoint.
      def transaction
        nested = in_step?
        exec(nested ? "SAVEPOINT tasker_pg" : "BEGIN")
        begin
          value = yield self
        rescue Exception # rubocop:disable Lint/RescueException
          exec(nested ? "ROLLBACK TO SAVEPOINT tasker_pg; RELEASE SAVEPOINT tasker_pg" : "ROLLBACK")
          raise
        end
        exec(nested ? "RELEASE SAVEPOINT tasker_pg" : "COMMIT")
        value
      end

      # Like {Tasker.after_commit}. Outside steps it waits for this connection's
      # transaction.
      def after_commit(&block)
        AfterCommit.add(committed: block, connection: @number)
      end

      # Like {Tasker.after_rollback}. Outside steps it waits for this connection's
      # transaction.
      def after_rollback(&block)
        AfterCommit.add(rolled_back: block, connection: @number)
      end

      # Remembers the SET statements in the block. They apply wherever this
      # connection is used, in steps and outside, and to no other connection.
      #
      # @yieldparam connection [Connection]
      def configure
        outer, @configuring = @configuring, true
        yield self
      ensure
        @configuring = outer
      end

      # @!group The connection

      # @return [Integer] CONNECTION_OK or CONNECTION_BAD
      def status
        finished? || Channel.state(@number).last == GONE ? 1 : 0
      rescue SQLError
        0 # of a step that has ended
      end

      def finished?
        @finished ? true : false
      end

      # Gives the physical connection back, if it holds one outside steps.
      def finish
        return if @finished

        @finished = true
        ObjectSpace.undefine_finalizer(self)
        Channel.finish(@number)
        nil
      end
      alias close finish

      def reset
        discard_results
        @finished = false
        Channel.finish(@number)
        Channel.configure(@number, @settings) unless @settings.empty?
        nil
      end
      alias async_reset reset

      def check_socket; end

      # @return [Integer] such as 150004
      def server_version
        major, minor = parameter_status("server_version").split(".").map(&:to_i)
        (major * 10_000) + minor.to_i
      end

      def protocol_version
        3
      end

      def parameter_status(name)
        value = info["parameters"][name]
        value.nil? || value.empty? ? nil : value
      end

      %w[host port db user].each { |name| define_method(name) { info[name] } }

      def pass
        nil
      end

      def options
        ""
      end

      def error_message
        ""
      end

      def backend_pid
        exec("SELECT pg_backend_pid()").getvalue(0, 0).to_i
      end

      def conninfo_hash
        { host: host, port: port.to_s, dbname: db, user: user }
      end

      # @!group Encodings and types

      def internal_encoding
        Encoding::UTF_8
      end

      def external_encoding
        Encoding::UTF_8
      end

      def get_client_encoding
        "UTF8"
      end

      def internal_encoding=(encoding)
        self.client_encoding = encoding
      end

      def client_encoding=(encoding)
        return if encoding.nil? || %w[UTF8 UTF-8 UNICODE].include?(encoding.to_s.upcase)

        raise ArgumentError, "the client encoding is UTF8 inside tasker-rb, not #{encoding}"
      end
      alias set_client_encoding client_encoding=

      def set_default_encoding
        Encoding::UTF_8
      end

      def type_map_for_results=(map)
        @type_map_for_results = map
      end

      def field_name_type
        :string
      end

      attr_accessor :encoder_for_put_copy_data, :decoder_for_get_copy_data

      # @!group Notices and notifications

      # The block gets the notices and warnings of a statement once it has ended, up
      # to a thousand. Without a receiver and a processor they are dropped.
      #
      # @yieldparam notice [Notice] with the methods of PG::Result
      # @return [Proc, nil] the last receiver
      def set_notice_receiver(&block)
        last, @notice_receiver = @notice_receiver, block
        last
      end

      # Like {#set_notice_receiver}, but for the text of each notice. It is called
      # when there is no receiver.
      #
      # @yieldparam text [String]
      # @return [Proc, nil] the last processor
      def set_notice_processor(&block)
        last, @notice_processor = @notice_processor, block
        last
      end

      # @return [Hash, nil] the next notification that has arrived
      def notifies
        channel, pid, payload = Channel.notified(@number, 0) { |f| fail_with(f) }
        channel && { relname: channel, be_pid: pid, extra: payload }
      end

      # Waits for a notification on a channel that this connection listens on.
      # Works outside steps only.
      #
      # @param seconds [Numeric, nil] the longest wait; nil for no limit
      # @return [String, nil] the channel
      # @yieldparam channel [String]
      # @yieldparam pid [Integer] of the sender's backend
      # @yieldparam payload [String, nil] nil for an empty one
      def wait_for_notify(seconds = nil)
        channel, pid, payload = Channel.notified(@number, seconds) { |f| fail_with(f) }
        yield channel, pid, (payload unless payload.empty?) if channel && block_given?
        channel
      end
      alias notifies_wait wait_for_notify

      # @!endgroup

      def inspect
        "#<#{self.class.name} #{@number}>"
      end

      private

      def run(sql, params, format)
        fail_with("state" => "08003", "message" => "the connection is closed") if @finished

        reply = Channel.exec(@number, sql, params, binary: format == 1, notices: notices) { |f| fail_with(f) }
        result = Result.new(reply, @type_map_for_results)
        case reply.copy
        when 73 then @copying = [sql, String.new]
        when 79
          @copied = result.copied
          @copy_end = result.without_rows
        end
        result
      end

      # @return [Proc, nil] for the fields of a notice
      def notices
        return if @configuring # SET LOCAL outside a transaction warns

        if (receiver = @notice_receiver)
          ->(fields) { receiver.call(Notice.new(fields, self)) }
        elsif (processor = @notice_processor)
          ->(fields) { processor.call(Notice.new(fields, self).error_message) }
        end
      end

      def copy_in(sql, data)
        reply = Channel.exec(@number, sql, nil, op: Channel::COPY_IN, data: data, notices: notices) { |f| break Failure.new(f, self) }
        reply.is_a?(Failure) ? reply : Result.new(reply)
      end

      def cancelled_copy(error)
        Failure.new({ "state" => "57014", "severity" => "ERROR", "class" => "QueryCanceled",
                      "message" => "COPY from stdin failed: #{error}" }, self)
      end

      def give(result)
        return result unless block_given?

        begin
          yield result
        ensure
          result.clear
        end
      end

      def fail_with(fields)
        raise Failure.new(fields).exception(self)
      end

      def remember(setting)
        name = setting[2].downcase.sub(/\Atime\s+zone\z/, "timezone")
        @settings = @settings.reject { |n, _| n == name } << [name, setting[1]]
        Channel.configure(@number, @settings)
      end

      def info
        @info ||= Channel.info
      end
    end
  end
end

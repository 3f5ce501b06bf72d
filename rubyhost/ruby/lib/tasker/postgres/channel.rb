# frozen_string_literal: true

module Tasker
  module Postgres
    # Sends requests to the host and reads its answers. Their formats are
    # described in orchestration/rubysteps/sqlwire.go.
    #
    # @!visibility private
    module Channel
      EXEC, COPY_IN, HOOK, FINISH, CONFIGURE, STATE, INFO, NOTIFIED, PLACE = 1, 2, 3, 4, 5, 6, 7, 8, 9
      LIBRARY = "#{File.expand_path("../..", __dir__)}/"
      BINARY_VALUES, ONE_STATEMENT, NOTICES = 1, 2, 4 # flags
      HEADER = "CL<Q<CS<L<a*"
      PARAM = "l<Ca*"
      NULL_PARAM = "l<C"
      # The formats of statements whose parameters are all texts, by the number of
      # parameters.
      PLAIN = Array.new(17) { |n| (HEADER + PARAM * n).freeze }.freeze

      # The forms of a parameter.
      TEXT = 0
      BINARY = 1
      EITHER = 2 # a text, then the value as JSON for a parameter of type json
      TYPED = 0x80 # the number of the type follows

      # A parameter in another form than text, or with a type that the caller has
      # named. The server finds out the types of all others.
      Param = Struct.new(:form, :text, :json, :type)

      # The answer to a statement. Each field is unpacked when it is asked for,
      # because most callers ask for one number only.
      class Reply
        HEADER = "CCCCS<S<L<Q<Ca*"
        SIZE = 21

        # @param tag [String] of a statement without rows
        def self.bare(tag)
          new([82, 0, 0, 0, 0, 0, 0, 0, tag.bytesize, tag].pack(HEADER))
        end

        # @return [String]
        attr_reader :body

        def initialize(body)
          @body = body
        end

        # @return [Integer] the direction of a COPY, 73 (I) or 79 (O); else 0
        def copy = @body.getbyte(2)

        # @return [Boolean] whether it has more than a tag
        def more? = @body.getbyte(3) == 1

        def columns = @body.unpack1("S<", offset: 4)
        def rows = @body.unpack1("L<", offset: 8)
        def affected = @body.unpack1("Q<", offset: 12)
        def tag = @body.byteslice(SIZE, @body.getbyte(SIZE - 1))

        # @return [Array<Array(Integer, Integer)>] the hooks whose transaction the
        #   statement ended, each with 1 for a commit
        def ended
          @body.byteslice(ended_at, ended_size).unpack("Q<C" * ended_count).each_slice(2).to_a
        end

        # @return [Integer] the offset of the columns
        def columns_at = ended_at + ended_size

        private

        def ended_count = @body.unpack1("S<", offset: 6)
        def ended_at = SIZE + @body.getbyte(SIZE - 1)
        def ended_size = 9 * ended_count
      end

      class << self
        # @param connection [Integer]
        # @param sql [String]
        # @param params [Array<String, Param, nil>]
        # @param notices [#call, nil] called with the fields of each notice, before
        #   the answer is returned or its error raised
        # @return [Reply]
        # @yieldparam fields [Hash] of the error; the block must raise it
        def exec(connection, sql, params = nil, binary: false, op: EXEC, data: nil, notices: nil, &failed)
          precede if Thread.current.thread_variable_get(:tasker_unsent)
          flags = (binary ? BINARY_VALUES : 0) | (params ? ONE_STATEMENT : 0) | (notices ? NOTICES : 0)
          answer(statement(op, connection, sql, params, flags, data), notices, &failed)
        end

        # @return [Boolean] whether the hook waits for a transaction's end
        def hook(connection, number)
          bare(HOOK, connection, [number].pack("Q<")).getbyte(1) == 1
        end

        def finish(connection)
          bare(FINISH, connection)
        end

        # @param settings [Array<Array(String, String)>]
        def configure(connection, settings)
          bare(CONFIGURE, connection, RubyVersions.generate_json(settings))
        end

        # @return [Array(Boolean, Integer)] whether the caller is in a step, and the
        #   transaction's status
        def state(connection)
          reply = bare(STATE, connection)
          [reply.getbyte(1) == 1, reply.getbyte(2)]
        end

        # @return [Hash] the server's parameters, and its host, port, db and user
        def info
          RubyVersions.parse_json(bare(INFO, 0).byteslice(1..))
        end

        # Waits for a notification.
        #
        # @param seconds [Numeric, nil] the longest wait; nil for no limit
        # @return [Array(String, Integer, String), nil] the channel, the sender's pid and the payload
        # @yieldparam fields [Hash] of the error; the block must raise it
        def notified(connection, seconds, &failed)
          reply = bare(NOTIFIED, connection, [seconds ? [(seconds * 1000).ceil, 0].max : -1].pack("q<"), &failed)
          RubyVersions.parse_json(reply.byteslice(1..)) if reply.bytesize > 1
        end

        # Remembers an owner of savepoints that were not sent yet. This thread's
        # next statement calls its +precede+ first.
        #
        # @param owner [#precede]
        def before_others(owner)
          Thread.current.thread_variable_set(:tasker_unsent, owner)
        end

        # Notes a connection whose object was garbage-collected. The next request
        # gives back what it holds.
        def forget(connection)
          @forgotten << connection
        end

        private

        def precede
          owner = Thread.current.thread_variable_get(:tasker_unsent)
          Thread.current.thread_variable_set(:tasker_unsent, nil)
          owner.precede
        end

        def bare(op, connection, data = nil)
          reply = ask([op, connection, Thread.current.object_id, 0, 0, 0, ""].pack(HEADER) << data.to_s.b)
          return reply unless reply.getbyte(0) == 69

          yield failure(reply) if block_given?
          raise SQLError.from(failure(reply))
        end

        def statement(op, connection, sql, params, flags, data)
          sql = sql_text(sql)
          values = [op, connection, Thread.current.object_id, flags, params ? params.size : 0, sql.bytesize, sql]
          payload = values.pack(params ? add_params(values, params) : HEADER)
          payload << data if data
          payload
        end

        def add_params(values, params)
          if params.size < PLAIN.size && params.all?(String)
            params.each { |p| values.push(p.bytesize, TEXT, p) }
            return PLAIN[params.size]
          end

          format = HEADER.dup
          params.each { |p| format << add_param(values, p) }
          format
        end

        def sql_text(sql)
          text = String.try_convert(sql) or raise TypeError, "no implicit conversion of #{sql.nil? ? "nil" : sql.class} into String"
          raise ArgumentError, "string contains null byte" if text.include?("\0")

          text
        end

        def add_param(values, param)
          case param
          when nil
            values.push(-1, TEXT)
            NULL_PARAM
          when Param
            add_formed(values, param)
          else
            values.push(param.bytesize, TEXT, param)
            PARAM
          end
        end

        def add_formed(values, param)
          if param.form == EITHER
            values.push(param.text.bytesize, EITHER, param.text, param.json.bytesize, param.json)
            "l<Ca*L<a*"
          elsif param.type.to_i.positive?
            values.push(param.text.bytesize, param.form | TYPED, param.type, param.text)
            "l<CL<a*"
          else
            values.push(param.text.bytesize, param.form, param.text)
            PARAM
          end
        end

        # An answer that begins with 69 (E) is an error. One that begins with 87 (W)
        # has notices before it.
        def answer(payload, notices)
          body = ask(payload)
          body, told = without_notices(body) if body.getbyte(0) == 87
          reply = Reply.new(body) unless body.getbyte(0) == 69
          tell_ended(reply) if reply&.more?
          told&.each(&notices)
          yield failure(body) unless reply
          reply
        end

        def without_notices(body)
          size = body.unpack1("L<", offset: 1)
          [body.byteslice(5 + size, body.bytesize), JSON.parse(body.byteslice(5, size))]
        end

        def tell_ended(reply)
          reply.ended.group_by(&:last).each { |committed, hooks| AfterCommit.finish(hooks.map(&:first), committed == 1) }
        end

        def failure(body)
          fields = RubyVersions.parse_json(body.byteslice(1..))
          tell_place if fields.delete("unplaced")
          fields
        end

        # Tells where a statement is that has failed the step's transaction. The step's failure
        # has it, also if the handler rescues the error.
        def tell_place
          places = caller(1).drop_while { |place| place.start_with?(LIBRARY) }
          lines = Execution.describe(Error.new.tap { |e| e.set_backtrace(places) })["backtrace"]
          ask([PLACE, 0, Thread.current.object_id, 0, 0, 0, ""].pack(HEADER) << RubyVersions.generate_json(lines).b)
        rescue Host::ServiceError
          nil # the statement's own error matters more
        end

        def ask(payload)
          forget_connections unless @forgotten.empty?
          Host.ask("sql", payload)
        rescue NameError => e
          raise if e.name != :Host || Tasker.const_defined?(:Host)

          raise ConfigurationError, "there is no database outside of tasker-rb; in a unit test, stub what asks it, or run the test with tasker-rb test"
        end

        def forget_connections
          finish(@forgotten.pop(true)) until @forgotten.empty?
        rescue ThreadError
          nil # another thread took the last one
        end
      end

      @forgotten = Queue.new
    end
  end
end

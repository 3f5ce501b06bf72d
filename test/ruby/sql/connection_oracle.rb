# frozen_string_literal: true

require "pg"

# Calls the pg gem's connection and Tasker::Postgres::Connection in the same way
# and reports where their answers differ. TestConnectionIsShapedLikeThePgGems
# loads it into the host.
module ConnectionOracle
  STATEMENTS = [
    "SELECT 1 AS a, 'x' AS b, NULL AS c", "SELECT * FROM generate_series(1, 300) n",
    "SELECT 1 WHERE false", "SELECT", "", ";", "-- nothing", "SELECT 1; SELECT 2 AS two",
    "SELECT '\u{1F600} ünï' AS u, E'\\\\x' AS v, '' AS empty", "VALUES (1, true), (2, false)",
    "SELECT 1.50::numeric(10,2) AS n, 'a'::varchar(3) AS v, ARRAY[1,2] AS l, now()::date - now()::date AS d, 't'::bytea AS b",
    "CREATE TEMP TABLE oracle (id serial PRIMARY KEY, t text UNIQUE, n int CHECK (n > 0))",
    "INSERT INTO oracle (t, n) VALUES ('a', 1), ('b', 2)", "INSERT INTO oracle (t, n) VALUES ('c', 3) RETURNING id, t",
    "UPDATE oracle SET n = n + 1", "SELECT * FROM oracle ORDER BY id", "DELETE FROM oracle WHERE n > 3",
    "INSERT INTO oracle (t) VALUES ('a')", "INSERT INTO oracle (t, n) VALUES ('z', 0)", "SELECT nope FROM oracle", "SELEC 1",
    "SELECT 1/0", "SELECT * FROM nowhere", "INSERT INTO oracle (id, t) VALUES (NULL, 'q')", "SELECT 'x'::int",
    "SHOW server_version", "EXPLAIN SELECT 1", "DROP TABLE oracle"
  ].freeze

  PARAMS = [
    ["SELECT $1::int + $2::int AS sum", [1, 2]], ["SELECT $1::text AS t", [nil]], ["SELECT $1::text AS t", ["it's \u{1F600}"]],
    ["SELECT $1::bool AS b", [true]], ["SELECT $1::int AS n", ["x"]], ["SELECT $1::text", []],
    ["SELECT $1::bytea AS b", [{ value: "\0\xff".b, format: 1 }]], ["SELECT 1", []]
  ].freeze

  ESCAPES = %i[escape escape_string escape_literal escape_identifier quote_ident escape_bytea unescape_bytea].freeze

  class << self
    def differences
      ours, theirs = Tasker::Postgres.connect, PG.connect(url)
      [statements(ours, theirs), no_text(ours, theirs), params(ours, theirs), types(ours, theirs), escapes(ours, theirs), copies(ours, theirs),
       transactions(ours, theirs), prepared(ours, theirs), notifications(ours, theirs), notices(ours, theirs), ended(ours, theirs)].flatten
    ensure
      theirs&.close
      ours&.finish
    end

    private

    def url
      { host: Tasker::Postgres::Channel.info["host"], dbname: Tasker::Postgres::Channel.info["db"],
        user: Tasker::Postgres::Channel.info["user"], port: Tasker::Postgres::Channel.info["port"] }
    end

    def same(what, ours, theirs)
      a, b = yield(ours), yield(theirs)
      a == b ? [] : ["#{what}: #{a.inspect}, and not #{b.inspect}"]
    end

    # Each connection has a transaction of its own, so that both see the same tables.
    def statements(ours, theirs)
      [ours, theirs].each { |c| c.exec("BEGIN") }
      out = STATEMENTS.flat_map do |sql|
        [false, true].flat_map do |params|
          same("#{sql.inspect}#{" with []" if params}", ours, theirs) { |c| answer(c, sql, params ? [] : nil) }
        end
      end
      [ours, theirs].each { |c| c.exec("ROLLBACK") }
      out
    end

    def no_text(ours, theirs)
      [nil, 1, :SELECT, "SELECT 1\0"].flat_map do |sql|
        [nil, []].flat_map do |params|
          same(sql.inspect, ours, theirs) { |c| refused { params ? c.exec_params(sql, params) : c.exec(sql) } }
        end
      end
    end

    def notifications(ours, theirs)
      same("LISTEN", ours, theirs) do |c|
        c.exec('LISTEN "a channel"; LISTEN b')
        nothing = [c.wait_for_notify(0), c.wait_for_notify(0.01), c.notifies]
        c.exec("NOTIFY \"a channel\", 'first'; SELECT pg_notify('b', '')")
        own = c.backend_pid
        heard = []
        2.times { heard << c.wait_for_notify(5) { |channel, pid, payload| heard << [channel, pid == own, payload] } }
        c.exec("NOTIFY b, 'ünï'")
        heard << c.notifies.then { |n| n.merge(be_pid: n[:be_pid] == own) }
        c.exec("NOTIFY b")
        heard << c.notifies[:extra]
        c.exec("UNLISTEN *; NOTIFY b")
        [nothing, heard, c.notifies, c.wait_for_notify(0)]
      end
    end

    NOTICES = [
      "DO $$ BEGIN RAISE NOTICE 'a' USING DETAIL = 'd', HINT = 'h', ERRCODE = '01001', TABLE = 't'; RAISE WARNING 'ü'; END $$",
      "DROP TABLE IF EXISTS nowhere", "SELECT 1; DROP TABLE IF EXISTS nowhere; DROP TABLE IF EXISTS nor_here",
      "DO $$ BEGIN RAISE NOTICE 'before'; RAISE EXCEPTION 'no'; END $$"
    ].freeze

    def notices(ours, theirs)
      same("notices", ours, theirs) do |c|
        told = [c.set_notice_receiver { |notice| told << notice_fields(notice) }]
        NOTICES.each { |sql| [false, true].each { |params| told << answer(c, sql, params ? [] : nil) } }
        c.copy_data("COPY (SELECT 1) TO STDOUT") { nil while c.get_copy_data }
        told << c.set_notice_receiver.class << c.set_notice_processor { |text| told << text }
        c.exec(NOTICES.first)
        told << c.set_notice_processor.class << c.set_notice_processor { nil }
      end
    end

    # The server ends a connection: one that is idle for too long in a transaction,
    # one whose backend another ends, and one that does it itself.
    def ended(ours, theirs)
      ends = {
        "idle" => [->(c) { c.exec("SET idle_in_transaction_session_timeout = '10ms'") }, "SELECT 1"],
        "ended by another" => [->(c) { Tasker.db.exec("SELECT pg_terminate_backend($1)", [c.backend_pid]) }, "SELECT 1"],
        "ended by itself" => [->(c) {}, "SELECT pg_terminate_backend(pg_backend_pid())"]
      }
      ends.flat_map do |what, (prepare, statement)|
        same("a connection that is #{what}", ours, theirs) do |c|
          c.exec("BEGIN")
          pid = c.backend_pid
          prepare.call(c)
          await_end(pid) unless what == "ended by itself"
          failed = Array.new(2) { refused_by_server { c.exec(statement) } }
          lost = [c.status, c.transaction_status]
          c.reset
          [failed, lost, c.status, c.transaction_status, c.exec("SELECT 1").getvalue(0, 0)]
        end
      end
    end

    def await_end(pid)
      Thread.pass until Tasker.db.first("SELECT count(*) AS n FROM pg_stat_activity WHERE pid = $1", [pid])["n"].zero?
    end

    def refused_by_server
      yield
    rescue PG::Error => e
      [e.class, e.result]
    end

    def notice_fields(notice)
      [notice.result_status, notice.error_message, notice.result_error_message] +
        %w[SEVERITY SQLSTATE MESSAGE_PRIMARY MESSAGE_DETAIL MESSAGE_HINT CONTEXT TABLE_NAME SOURCE_FUNCTION].map do |field|
          notice.error_field(PG.const_get("PG_DIAG_#{field}"))
        end
    end

    def refused
      yield
    rescue TypeError, ArgumentError => e
      [e.class, e.message]
    end

    def params(ours, theirs)
      PARAMS.flat_map { |sql, params| same("#{sql} #{params}", ours, theirs) { |c| answer(c, sql, params) } }
    end

    # Everything in the result, or the error.
    def answer(connection, sql, params = nil)
      connection.exec("SAVEPOINT s") if connection.transaction_status == 2
      result = params ? connection.exec_params(sql, params) : connection.exec(sql)
      describe(result)
    rescue PG::Error => e
      connection.exec("ROLLBACK TO s") if connection.transaction_status == 3
      [e.class, e.message.gsub(/^(LINE|CONTEXT).*\n(.*\^.*\n)?/, ""), e.result&.error_field(PG::PG_DIAG_SQLSTATE),
       e.result&.error_field(PG::PG_DIAG_CONSTRAINT_NAME), e.result&.error_field(PG::PG_DIAG_COLUMN_NAME)]
    end

    def describe(result)
      columns = Array.new(result.nfields) do |i|
        [result.fname(i), result.ftype(i), result.fmod(i), result.fsize(i), result.fformat(i), result.ftablecol(i)]
      end
      [result.result_status, result.res_status(result.result_status), result.cmd_status, result.cmd_tuples, result.ntuples, result.fields, columns,
       result.values, result.to_a, result.each_row.to_a, (result.column_values(0) if result.nfields.positive?),
       result.values.flatten.map { |v| v&.encoding }.uniq]
    end

    def types(ours, theirs)
      map = PG::BasicTypeMapForResults.new(theirs)
      sql = "SELECT 1::int8 AS i, 1.5::float8 AS f, true AS b, 'x'::text AS t, '{1,2}'::int4[] AS l, '2026-11-23'::date AS d, " \
            "'{\"a\": 1}'::jsonb AS j, NULL::int AS n, '\\x00ff'::bytea AS y, 1.25::numeric AS m"
      same("a type map", ours, theirs) { |c| r = c.exec(sql); r.type_map = map; r.to_a } +
        same("a type map of the connection", ours, theirs) { |c| c.type_map_for_results = map; r = c.exec(sql).values; c.type_map_for_results = PG::TypeMapAllStrings.new; r } +
        same("a type map for queries", ours, theirs) do |c|
          c.type_map_for_queries = PG::BasicTypeMapForQueries.new(theirs)
          r = c.exec_params("SELECT $1::int, $2::float8, $3::bool, $4::int[], $5::date", [1, 2.5, false, [1, nil, 3], Date.new(2026, 1, 2)]).values
          c.type_map_for_queries = PG::TypeMapAllStrings.new
          r
        end
    end

    def escapes(ours, theirs)
      ["plain", "it's", "back\\slash", "\u{1F600}", "", "\"quoted\""].flat_map do |text|
        (ESCAPES - %i[unescape_bytea]).flat_map do |method|
          same("#{method} #{text.inspect}", ours, theirs) { |c| c.public_send(method, text) }
        end
      end + same("unescape_bytea", ours, theirs) { |c| c.unescape_bytea("\\x00ff41") } +
        same("escaping on the class", ours, theirs) { |c| ESCAPES.select { |method| c.class.respond_to?(method) } }
    end

    def copies(ours, theirs)
      same("COPY", ours, theirs) do |c|
        c.exec("CREATE TEMP TABLE copied (a int, b text)")
        c.copy_data("COPY copied FROM STDIN") { 3.times { |i| c.put_copy_data("#{i}\ttext #{i}\n") } }
        lines = []
        c.copy_data("COPY copied TO STDOUT WITH (FORMAT csv)") { while (l = c.get_copy_data) do lines << l end }
        failed = begin
          c.copy_data("COPY copied FROM STDIN") { c.put_copy_data("not a number\tx\n") }
        rescue PG::Error => e
          e.class
        end
        [lines, failed, c.exec("SELECT count(*) FROM copied").getvalue(0, 0), c.exec("DROP TABLE copied").cmd_status]
      end
    end

    def transactions(ours, theirs)
      same("transactions", ours, theirs) do |c|
        seen = [c.transaction_status]
        c.transaction { seen << c.transaction_status }
        begin
          c.transaction { c.exec("SELECT 1/0") }
        rescue PG::DivisionByZero
          seen << c.transaction_status
        end
        c.exec("BEGIN")
        c.exec("SELECT 1/0") rescue seen << c.transaction_status
        c.exec("SELECT 1") rescue seen << $!.class
        seen << c.exec("COMMIT").cmd_status << c.transaction_status
      end
    end

    def prepared(ours, theirs)
      same("prepared", ours, theirs) do |c|
        c.prepare("p", "SELECT $1::int * 2 AS twice")
        seen = Array.new(5) { |i| c.exec_prepared("p", [i]).getvalue(0, 0) }
        begin
          c.exec_prepared("unknown", [])
        rescue PG::Error => e
          seen << e.class << e.message
        end
      end
    end
  end
end

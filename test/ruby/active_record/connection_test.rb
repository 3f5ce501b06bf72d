# frozen_string_literal: true

# The connection itself: what it holds, shares, remembers and forgets.
class ConnectionTest < Suite::Case
  def test_it_is_activerecords_own_adapter_on_our_connection
    assert_kind_of ActiveRecord::ConnectionAdapters::PostgreSQLAdapter, connection
    assert_kind_of Tasker::Postgres::Connection, connection.raw_connection
  end

  def test_its_settings
    settings = connection.select_one(<<~SQL)
      SELECT current_setting('client_min_messages') AS messages, current_setting('standard_conforming_strings') AS strings,
             current_setting('intervalstyle') AS intervals, current_setting('TimeZone') AS zone
    SQL
    assert_equal({ "messages" => "warning", "strings" => "on", "intervals" => "iso_8601", "zone" => "UTC" }, settings)
  end

  def test_its_settings_are_its_own
    connection.select_value("SELECT 1")
    Tasker.db.exec("SELECT 1")
    assert_equal "postgres", Tasker.db.first("SHOW intervalstyle")["IntervalStyle"]
    assert_equal "iso_8601", connection.select_value("SHOW intervalstyle")
    connection.transaction do
      assert_equal "iso_8601", connection.select_value("SHOW intervalstyle")
      raise ActiveRecord::Rollback
    end
    assert_equal "iso_8601", connection.select_value("SHOW intervalstyle")
  end

  def test_a_configuration_of_its_own
    with_connection(variables: { work_mem: "7MB", "statement_timeout" => 54_321 }, schema_search_path: "pg_catalog, public", min_messages: "error") do |c|
      2.times do
        assert_equal ["7MB", "pg_catalog, public", "error"], %w[work_mem search_path client_min_messages].map { |n| c.select_value("SHOW #{n}") }
        assert_equal "54321ms", c.select_value("SHOW statement_timeout")
      end
      refute_equal "7MB", connection.select_value("SHOW work_mem")
    end
  end

  # A prepared statement must use the tables that the search_path shows.
  def test_a_search_path_of_its_own
    with_connection(schema_search_path: "elsewhere") do |c|
      3.times do
        assert_equal 7, c.select_value("SELECT n FROM hidden")
        assert_equal [[7]], c.exec_query("SELECT n FROM hidden WHERE n > $1", "SQL", [bind(0)], prepare: true).rows
      end
      c.transaction { 3.times { assert_equal 7, c.select_value("SELECT n FROM hidden") } }
    end
    assert_raises(ActiveRecord::StatementInvalid) { connection.transaction(requires_new: true) { connection.select_value("SELECT n FROM hidden") } }
  end

  def test_a_setting_that_does_not_exist
    skip_savepoint do
      error = assert_raises(ActiveRecord::StatementInvalid) { with_connection(variables: { no_such_setting_there: 1 }) { |c| c.select_value("SELECT 1") } }
      assert_match(/no_such_setting_there/, error.message)
    end
  end

  def test_a_configuration_that_names_another_database
    { host: "db", database: "other", username: "me", url: nil, port: 5432 }.compact.each do |key, value|
      error = assert_raises(ArgumentError) { with_connection(key => value) { flunk } }
      assert_match(/takes no #{key}.*adapter: "postgresql" for another/, error.message)
    end
  end

  def test_options_of_the_server
    with_connection(options: "-c geqo=off --search-path=a\\ b,public -cwork_mem=3MB") do |c|
      assert_equal ["off", "\"a b\", public", "3MB"], %w[geqo search_path work_mem].map { |name| c.select_value("SHOW #{name}") }
    end
    assert_equal "on", connection.select_value("SHOW geqo")
    error = assert_raises(ArgumentError) { with_connection(options: "-d 3") { flunk } }
    assert_match(/"-c name=value", and not "-d 3"/, error.message)
  end

  def test_a_configuration_that_names_the_hosts_own_database
    with_connection(database: connection.current_database) { |c| assert_equal 1, c.select_value("SELECT 1") }
  end

  def test_prepared_statements
    5.times { |i| assert_equal i, Ours::Account.where(orders_count: i).to_a.size + i }
    assert_equal [[3]], connection.exec_query("SELECT $1::int + 1", "SQL", [bind(2)], prepare: true).rows
    with_connection(prepared_statements: false) do |c|
      refute_predicate c, :prepared_statements?
      assert_equal [[3]], c.exec_query("SELECT $1::int + 1", "SQL", [bind(2)]).rows
    end
  end

  def test_more_statements_than_the_pool_keeps
    with_connection(statement_limit: 3) do |c|
      10.times { |i| assert_equal [[i + 1]], c.exec_query("SELECT $1::int + 1 /* #{i} */", "SQL", [bind(i)], prepare: true).rows }
      10.times { |i| assert_equal [[i + 1]], c.exec_query("SELECT $1::int + 1 /* #{i} */", "SQL", [bind(i)], prepare: true).rows }
      assert_equal 3, c.instance_variable_get(:@statements).length
      c.clear_cache!
      assert_equal 0, c.instance_variable_get(:@statements).length
      assert_equal [[1]], c.exec_query("SELECT $1::int + 1 /* 0 */", "SQL", [bind(0)], prepare: true).rows
    end
  end

  def test_life
    with_connection({}) do |c|
      assert_equal 1, c.select_value("SELECT 1") # newer versions connect now
      assert_predicate c, :active?
      c.reconnect!
      assert_equal 1, c.select_value("SELECT 1")
      c.execute("SET work_mem = '6MB'")
      c.reset!
      assert_equal "iso_8601", c.select_value("SHOW intervalstyle")
      refute_equal "6MB", c.select_value("SHOW work_mem") unless in_step? # in a step the setting lasts until the step ends
      c.verify!
      c.disconnect!
      refute_predicate c, :active?
      next assert_equal(1, c.select_value("SELECT 1")) if c.respond_to?(:connect!) # newer versions connect again

      error = assert_raises(ActiveRecord::ConnectionNotEstablished) { c.select_value("SELECT 1") }
      assert_match(/connection is closed/, error.message)
    end
  end

  def test_a_step_goes_on_when_its_connection_was_replaced
    return assert(!in_step?) unless in_step?

    Ours::Entry.create!(entry: "before")
    connection.reconnect!
    connection.reset!
    ActiveRecord::Base.connection_handler.clear_active_connections!
    ActiveRecord::Base.connection_pool.disconnect!
    assert_equal %w[before], Ours::Entry.pluck(:entry)
  end

  def test_the_query_cache
    if (before = ActiveRecord::VERSION::MAJOR < 7)
      handlers = ActiveRecord::Base.connection_handlers # Rails sets it; without it no write clears the cache
      ActiveRecord::Base.connection_handlers = { writing: ActiveRecord::Base.connection_handler }
    end
    seen = assert_same do |m|
      m::Base.connection.select_value("SELECT 1") # without a connection there is no cache
      m::Base.cache do
        counts = [m::Entry.count]
        m::Base.connection.raw_connection.exec("INSERT INTO journal (entry) VALUES ('behind')")
        counts << m::Entry.count << m::Base.uncached { m::Entry.count }
        m::Entry.create!(entry: "a")
        counts << m::Entry.count
      end
    end
    assert_equal [0, 0, 1, 2], seen
  ensure
    ActiveRecord::Base.connection_handlers = handlers if before
  end

  def test_threads_share_the_steps_transaction
    return assert(!in_step?) unless in_step?

    Ours::Entry.create!(entry: "main")
    seen = Array.new(8) do |i|
      Thread.new do
        Ours::Base.connection_pool.with_connection { Ours::Entry.pluck(:entry) + [i] }
      end
    end.map(&:value)
    assert_equal Array.new(8) { |i| ["main", i] }, seen
  end

  def test_threads_outside_steps_have_transactions_of_their_own
    return assert(in_step?) if in_step?

    entered = Queue.new
    leave = Queue.new
    other = Thread.new do
      Ours::Base.connection_pool.with_connection do
        Ours::Base.transaction do
          Ours::Entry.create!(entry: "theirs")
          entered << true
          leave.pop
          raise ActiveRecord::Rollback
        end
      end
    end
    entered.pop
    assert_empty Ours::Entry.pluck(:entry)
    leave << true
    other.join
    assert_empty Ours::Entry.pluck(:entry)
  end

  def test_the_pool_has_room_for_every_thread
    assert_operator ActiveRecord::Base.connection_pool.size, :>=, 64
    assert_equal 3, pool_size(pool: 3)
    assert_equal 5, ActiveRecord::DatabaseConfigurations::HashConfig.new("test", "primary", adapter: "postgresql").pool
  end

  def test_fibers
    Ours::Entry.create!(entry: "a")
    assert_equal %w[a], Fiber.new { Ours::Entry.pluck(:entry) }.resume
    assert_equal %w[a], Enumerator.new { |y| Ours::Entry.pluck(:entry).each { |e| y << e } }.next.then { |e| [e] }
  end

  def test_notifications
    seen = []
    listener = ->(*, payload) { seen << payload.values_at(:name, :sql) }
    ActiveSupport::Notifications.subscribed(listener, "sql.active_record") { Ours::Account.where(name: "x").load }
    assert_equal "Ours::Account Load", seen.last.first
  end

  # Older versions leave the notices to the raw connection.
  def test_warnings_of_the_server
    heard = []
    newer = ActiveRecord.respond_to?(:db_warnings_action=)
    old, ActiveRecord.db_warnings_action = ActiveRecord.db_warnings_action, ->(w) { heard << [w.level, w.code, w.message] } if newer
    with_connection({}) do |c|
      unless newer
        c.raw_connection.set_notice_receiver do |notice|
          heard << %w[SEVERITY SQLSTATE MESSAGE_PRIMARY].map { |field| notice.error_field(PG.const_get("PG_DIAG_#{field}")) }
        end
      end
      c.execute("DO $$ BEGIN RAISE WARNING 'careful'; RAISE NOTICE 'too low'; END $$")
    end
    assert_equal [%w[WARNING 01000 careful]], heard
  ensure
    ActiveRecord.db_warnings_action = old || :ignore if newer
  end

  def test_logging
    out = StringIO.new
    old, ActiveRecord::Base.logger = ActiveRecord::Base.logger, Logger.new(out)
    Ours::Entry.create!(entry: "logged")
    assert_includes out.string, "logged"
  ensure
    ActiveRecord::Base.logger = old
  end

  def test_copy_through_the_raw_connection
    raw = connection.raw_connection
    raw.copy_data("COPY journal (entry) FROM STDIN") { 3.times { |i| raw.put_copy_data("line #{i}\n") } }
    assert_equal 3, Ours::Entry.count
    lines = []
    raw.copy_data("COPY (SELECT entry FROM journal ORDER BY id) TO STDOUT") { while (line = raw.get_copy_data); lines << line; end }
    assert_equal ["line 0\n", "line 1\n", "line 2\n"], lines
  end

  def test_preventing_writes
    assert_raises(ActiveRecord::ReadOnlyError) { ActiveRecord::Base.while_preventing_writes { Ours::Entry.create!(entry: "x") } }
    assert_equal 0, Ours::Entry.count
  end

  def test_referential_integrity_can_be_put_off
    connection.disable_referential_integrity do
      Ours::Line.insert_all!([{ order_id: 0, sku: "orphan" }])
    end
    assert_equal 1, Ours::Line.count
    Ours::Line.delete_all
  end

  def test_temporary_tables
    connection.transaction do
      connection.execute("CREATE TEMPORARY TABLE scratch (n int) ON COMMIT DROP")
      connection.execute("INSERT INTO scratch VALUES (1), (2)")
      assert_equal 3, connection.select_value("SELECT sum(n) FROM scratch")
      raise ActiveRecord::Rollback
    end
  end

  private

  def bind(value)
    ActiveRecord::Relation::QueryAttribute.new("n", value, ActiveModel::Type::Integer.new)
  end

  # A connection with a configuration of its own, in a pool of its own.
  def with_connection(config)
    pool = ActiveRecord::ConnectionAdapters::ConnectionHandler.new.establish_connection({ adapter: "tasker", reaping_frequency: nil }.merge(config))
    pool.with_connection { |c| yield c }
  ensure
    pool&.disconnect!
  end

  def pool_size(config)
    ActiveRecord::DatabaseConfigurations::HashConfig.new("test", "primary", { adapter: "tasker" }.merge(config)).pool
  end

  # A failed statement must leave the step usable.
  def skip_savepoint
    return yield unless in_step?

    connection.transaction(requires_new: true) do
      connection.materialize_transactions
      yield
      raise ActiveRecord::Rollback
    end
  end
end

# frozen_string_literal: true

# Errors have the classes that ActiveRecord's own adapter raises. Their causes are
# the pg gem's errors.
class ErrorsTest < Suite::Case
  def self.fails(name, expected, sql = nil, &block)
    define_method("test_#{name}") do
      got = assert_same { |m| failure(m) { block ? instance_exec(m, &block) : m::Base.connection.execute(sql) } }
      assert_equal expected.name, got.first
    end
  end

  fails("not_unique", ActiveRecord::RecordNotUnique, "INSERT INTO accounts (id, email, created_at, updated_at) SELECT 1, x, now(), now() FROM (VALUES ('a'), ('a')) v(x)")
  fails("not_null", ActiveRecord::NotNullViolation) { |m| m::Order.insert_all!([{ number: nil, account_id: nil, created_at: Time.now, updated_at: Time.now }]) }
  fails("foreign_key", ActiveRecord::InvalidForeignKey) { |m| m::Line.create!(order_id: 0) }
  fails("check", ActiveRecord.const_defined?(:CheckViolation) ? ActiveRecord::CheckViolation : ActiveRecord::StatementInvalid) { |m| m::Account.create!(email: "a", balance: -1) }
  fails("too_long", ActiveRecord::ValueTooLong) { |m| m::Account.create!(email: "a", name: "x" * 41) }
  fails("out_of_range", ActiveRecord::RangeError, "SELECT 100000 * 100000")
  fails("syntax", ActiveRecord::StatementInvalid, "SELEC 1")
  fails("syntax_with_position", ActiveRecord::StatementInvalid, "SELECT 1 FROM\naccounts WHERE nonsense ~~~ 1")
  fails("no_table", ActiveRecord::StatementInvalid, "SELECT * FROM nowhere")
  fails("no_column", ActiveRecord::StatementInvalid) { |m| m::Account.where("nothing = 1").to_a }
  fails("no_function", ActiveRecord::StatementInvalid, "SELECT nothing(1)")
  fails("division_by_zero", ActiveRecord::StatementInvalid, "SELECT 1 / 0")
  fails("bad_input", ActiveRecord::StatementInvalid, "SELECT 'x'::int")
  fails("statement_timeout", ActiveRecord::QueryCanceled, "SET LOCAL statement_timeout = 20; SELECT pg_sleep(10)")
  fails("lock_timeout", ActiveRecord::LockWaitTimeout, "DO $$ BEGIN RAISE SQLSTATE '55P03' USING MESSAGE = 'as if'; END $$")
  fails("raised_by_a_function", ActiveRecord::StatementInvalid, "DO $$ BEGIN RAISE EXCEPTION 'own words' USING DETAIL = 'd', HINT = 'h', TABLE = 't', CONSTRAINT = 'c'; END $$")
  fails("wrong_number_of_binds", ActiveRecord::StatementInvalid) { |m| m::Base.connection.exec_query("SELECT $1::int, $2::int", "SQL", [ActiveRecord::Relation::QueryAttribute.new("n", 1, ActiveModel::Type::Integer.new)]) }
  fails("several_statements_with_binds", ActiveRecord::StatementInvalid) { |m| m::Base.connection.exec_query("SELECT $1::int; SELECT 2", "SQL", [ActiveRecord::Relation::QueryAttribute.new("n", 1, ActiveModel::Type::Integer.new)]) }

  # ActiveRecord then drops the whole transaction, and the connection with it.
  def test_failures_that_end_the_transaction
    { "40001" => ActiveRecord::SerializationFailure, "40P01" => ActiveRecord::Deadlocked }.each do |state, expected|
      text = "DO $$ BEGIN RAISE SQLSTATE '#{state}' USING MESSAGE = 'as if'; END $$"
      [Ours, Theirs].each do |m|
        next if m == Ours && in_step? # the Go test covers it with steps

        error = assert_raises(expected) { m::Base.transaction { m::Base.connection.execute(text) } }
        assert_equal state, error.cause.result.error_field(PG::PG_DIAG_SQLSTATE)
        assert_equal 1, m::Base.connection.select_value("SELECT 1")
      end
    end
  end

  def test_fields_of_the_cause
    got = assert_same do |m|
      begin
        m::Base.transaction(requires_new: true) { m::Line.create!(order_id: 0) }
      rescue ActiveRecord::InvalidForeignKey => e
        r = e.cause.result
        %w[SEVERITY SQLSTATE MESSAGE_PRIMARY MESSAGE_DETAIL SCHEMA_NAME TABLE_NAME CONSTRAINT_NAME SOURCE_FUNCTION].map do |field|
          r.error_field(PG.const_get("PG_DIAG_#{field}"))
        end
      end
    end
    assert_equal ["ERROR", "23503"], got.first(2)
    assert_equal [connection.current_schema, "lines"], got[4, 2]
  end

  def test_the_error_knows_its_statement
    error, theirs = [Ours, Theirs].map do |m|
      assert_raises(ActiveRecord::StatementInvalid) { m::Base.transaction(requires_new: true) { m::Account.where("nothing = ?", 1).to_a } }
    end
    assert_includes error.sql, "nothing = "
    assert_equal theirs.sql, error.sql
    assert_kind_of PG::UndefinedColumn, error.cause
    assert_kind_of Tasker::Postgres::Connection, error.cause.connection
  end

  def test_a_failure_outside_a_savepoint_is_repeated_with_its_reason
    return assert(!in_step?) unless in_step?

    connection.transaction(requires_new: true) do
      assert_raises(ActiveRecord::StatementInvalid) { connection.execute("SELECT 1 / 0") }
      again = assert_raises(ActiveRecord::StatementInvalid) { connection.execute("SELECT 1") }
      assert_kind_of PG::DivisionByZero, again.cause
      raise ActiveRecord::Rollback
    end
    assert_equal 1, connection.select_value("SELECT 1")
  end

  private

  def failure(models, &block)
    models::Base.transaction(requires_new: true, &block)
  rescue ActiveRecord::ActiveRecordError => e
    state = e.cause.respond_to?(:result) ? e.cause.result&.error_field(PG::PG_DIAG_SQLSTATE) : nil
    [e.class.name, e.cause.class.name, state, e.message.lines.first.gsub(/\d{5,}/, "n").sub(/\(\d+\)/, "(n)")]
  end
end

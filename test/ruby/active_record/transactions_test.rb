# frozen_string_literal: true

# transaction { } means the same inside a step and outside, with one exception:
# inside a step the outermost one is a savepoint too.
class TransactionsTest < Suite::Case
  def test_the_value_of_the_block
    assert_equal 42, Ours::Base.transaction { 42 }
    assert_nil(Ours::Base.transaction { raise ActiveRecord::Rollback })
  end

  def test_an_exception_rolls_back_and_goes_on
    error = assert_raises(ArgumentError) do
      Ours::Base.transaction do
        entry("gone")
        raise ArgumentError, "mine"
      end
    end
    assert_equal "mine", error.message
    entry("kept")
    assert_equal %w[kept], entries
  end

  def test_rollback_is_swallowed
    Ours::Base.transaction do
      entry("gone")
      raise ActiveRecord::Rollback
    end
    assert_empty entries
  end

  def test_an_inner_transaction_joins_the_outer
    Ours::Base.transaction do
      entry("a")
      Ours::Base.transaction do
        entry("b")
        raise ActiveRecord::Rollback
      end
    end
    assert_equal %w[a b], entries
  end

  def test_requires_new
    Ours::Base.transaction do
      entry("a")
      Ours::Base.transaction(requires_new: true) do
        entry("b")
        Ours::Base.transaction(requires_new: true) { entry("c") }
        raise ActiveRecord::Rollback
      end
      Ours::Base.transaction(requires_new: true) { entry("d") }
    end
    assert_equal %w[a d], entries
  end

  def test_not_joinable
    Ours::Base.transaction(joinable: false) do
      entry("a")
      Ours::Base.transaction do
        entry("b")
        raise ActiveRecord::Rollback
      end
    end
    assert_equal %w[a], entries
  end

  def test_a_failed_statement_is_undone_with_its_savepoint
    Ours::Base.transaction do
      entry("a")
      assert_raises(ActiveRecord::StatementInvalid) { Ours::Base.transaction(requires_new: true) { connection.execute("SELECT 1 / 0") } }
      entry("b")
    end
    assert_equal %w[a b], entries
  end

  def test_records_take_their_state_back
    order = nil
    Ours::Base.transaction do
      order = Ours::Order.create!(number: "1", account: account)
      raise ActiveRecord::Rollback
    end
    assert_predicate order, :new_record?
    assert_nil order.id
  end

  def test_records_saved_twice_take_their_state_back
    line = nil
    Ours::Base.transaction do
      line = Ours::Line.create!(sku: "1")
      line.update!(sku: "2")
      raise ActiveRecord::Rollback
    end
    assert_predicate line, :new_record?
    line.save!
    assert_equal "2", Ours::Line.find(line.id).sku
  end

  def test_a_destroyed_record_comes_back
    line = Ours::Line.create!(sku: "1")
    Ours::Base.transaction do
      line.destroy!
      raise ActiveRecord::Rollback
    end
    refute_predicate line, :destroyed?
    line.update!(sku: "2")
    assert_equal "2", Ours::Line.find(line.id).sku
  end

  def test_an_update_that_was_undone_can_be_made_again
    line = Ours::Line.create!(sku: "1")
    Ours::Base.transaction do
      line.update!(sku: "2")
      raise ActiveRecord::Rollback
    end
    line.save!
    assert_equal "2", Ours::Line.find(line.id).sku
  end

  def test_lazy_transactions_send_nothing
    connection.enable_lazy_transactions! # raw_connection turns them off
    assert_empty(statements { Ours::Base.transaction { Ours::Base.transaction(requires_new: true) { 1 } } })
  end

  def test_what_is_sent
    connection.select_value("SELECT 1")
    sent = statements { Ours::Base.transaction { entry("a") } }.grep_v(/INSERT/)
    assert_equal(in_step? ? ["SAVEPOINT active_record_1", "RELEASE SAVEPOINT active_record_1"] : %w[BEGIN COMMIT], sent)
    sent = statements { Ours::Base.transaction { entry("b") && Ours::Base.transaction(requires_new: true) { entry("c") } } }.grep_v(/INSERT/)
    assert_equal in_step? ? 4 : 4, sent.size
    assert_includes sent, in_step? ? "SAVEPOINT active_record_2" : "SAVEPOINT active_record_1"
  end

  def test_isolation
    if in_step?
      [{}, { requires_new: true }].each do |options|
        error = assert_raises(ActiveRecord::TransactionIsolationError) { Ours::Base.transaction(isolation: :serializable, **options) { flunk } }
        assert_match(/isolation: serializable for the step in the template/, error.message)
      end
      error = assert_raises(ActiveRecord::TransactionIsolationError) { Ours::Base.transaction { Ours::Base.transaction(isolation: :repeatable_read) { flunk } } }
      assert_match(/isolation: repeatable read/, error.message)
    else
      level = Ours::Base.transaction(isolation: :serializable) { connection.select_value("SHOW transaction_isolation") }
      assert_equal "serializable", level
      assert_equal "read committed", connection.select_value("SHOW transaction_isolation")
    end
  end

  def test_a_transaction_is_open_throughout_a_step
    assert_equal in_step?, connection.transaction_open?
    assert_equal in_step?, connection.current_transaction.open?
    Ours::Base.transaction { assert_predicate connection, :transaction_open? }
    assert_equal in_step? ? 1 : 0, connection.open_transactions
  end

  def test_text_that_would_end_the_steps_transaction
    return assert(!in_step?) unless in_step?

    entry("kept")
    ["COMMIT", "ROLLBACK", "BEGIN", "END", "ABORT", "START TRANSACTION", "/* x */ commit", "SELECT 1; COMMIT", "COMMIT AND CHAIN",
     "PREPARE TRANSACTION 'x'"].each do |text|
      [-> { connection.execute(text) }, -> { connection.exec_query(text) }, -> { connection.raw_connection.exec(text) }].each do |run|
        error = assert_raises(Tasker::Postgres::TransactionControlError, text) { run.call }
        assert_match(/not possible inside a step/, error.message)
      end
    end
    assert_equal %w[kept], entries
  end

  def test_the_steps_transaction_cannot_be_ended_by_name
    return assert(!in_step?) unless in_step?

    %i[commit_transaction rollback_transaction begin_db_transaction commit_db_transaction rollback_db_transaction].each do |name|
      error = assert_raises(Tasker::Postgres::TransactionControlError) { connection.public_send(name) }
      assert_match(/not possible/, error.message)
    end
    assert_equal 1, connection.select_value("SELECT 1")
  end

  def test_transactions_by_hand
    connection.begin_transaction(joinable: false)
    entry("gone")
    connection.rollback_transaction
    connection.begin_transaction
    entry("kept")
    connection.commit_transaction
    assert_equal %w[kept], entries
    assert_equal in_step? ? 1 : 0, connection.open_transactions
  end

  def test_beside_the_native_database
    return assert(!in_step?) unless in_step?

    Tasker.db.transaction do
      entry("a")
      Ours::Base.transaction { Tasker.db.exec("INSERT INTO journal (entry) VALUES ('b')") }
      raise Tasker::DB::Rollback
    end
    assert_empty entries
    Ours::Base.transaction do
      Tasker.db.exec("INSERT INTO journal (entry) VALUES ('c')")
      raise ActiveRecord::Rollback
    end
    assert_empty entries
  end

  def test_callbacks_of_a_savepoint_that_was_rolled_back
    Ours::Base.transaction do
      a = account
      Ours::Base.transaction(requires_new: true) do
        a.orders.create!(number: "gone")
        raise ActiveRecord::Rollback
      end
      assert_equal ["rolled back gone"], Suite::Models.told
      a.orders.create!(number: "kept")
      assert_empty Suite::Models.told
    end
    assert_equal in_step? ? [] : ["created kept"], Suite::Models.told # those of a step run after it
  end

  def test_after_commit_outside_a_step
    return assert(in_step?) if in_step?

    order = account.orders.create!(number: "1")
    order.update!(placed_on: Date.today)
    order.destroy!
    assert_equal ["created 1", "updated 1", "destroyed 1"], Suite::Models.told
  end

  # Whether it is committed depends on ActiveRecord's version.
  def test_a_transaction_left_by_other_means
    kept = assert_same do |m|
      [1].each { m::Base.transaction(requires_new: true) { m::Entry.create!(entry: "broken off"); break } }
      catch(:out) { m::Base.transaction(requires_new: true) { m::Entry.create!(entry: "thrown"); throw :out } }
      m::Entry.count
    end
    assert_includes [0, 2], kept
    assert_equal in_step? ? 1 : 0, connection.open_transactions
  end

  def test_two_models_one_transaction
    a = account
    a.transaction do
      a.orders.create!(number: "1")
      a.reload.update!(name: "x")
    end
    assert_equal ["x", 1], [a.reload.name, a.orders.size]
  end

  private

  def account
    Ours::Account.create!(email: "a@example.com")
  end

  def entry(text)
    Ours::Entry.create!(entry: text)
  end

  def entries
    Ours::Entry.order(:id).pluck(:entry)
  end

  def statements
    seen = []
    listener = ->(*, payload) { seen << payload[:sql] unless payload[:name] == "SCHEMA" }
    ActiveSupport::Notifications.subscribed(listener, "sql.active_record") { yield }
    seen
  end
end

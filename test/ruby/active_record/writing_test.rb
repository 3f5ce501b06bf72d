# frozen_string_literal: true

# The adapter writes what ActiveRecord's own adapter would write.
class WritingTest < Suite::Case
  def self.writes(name, &block)
    define_method("test_#{name}") { assert_same { |m| instance_exec(m, &block) } }
  end

  writes("create_fills_defaults") do |m|
    a = m::Account.create!(email: "a@example.com")
    [a.id.class.name, a.balance, a.settings, a.status, a.lock_version, a.created_at == a.updated_at, a.previously_new_record?, a.reload.balance]
  end
  writes("update_and_dirty") do |m|
    a = m::Account.create!(email: "a@example.com", name: "A")
    a.update!(name: "B", balance: "12.345")
    [a.saved_changes.keys.sort, a.saved_change_to_name, a.reload.balance, a.lock_version]
  end
  writes("update_without_change_writes_nothing") do |m|
    a = m::Account.create!(email: "a@example.com")
    statements(m) { a.save! }.grep(/UPDATE/).size
  end
  writes("json_in_place") do |m|
    a = m::Account.create!(email: "a@example.com", settings: { "a" => [1] })
    a.settings["a"] << 2
    a.save!
    a.theme = "dark"
    a.save!
    m::Account.find(a.id).settings
  end
  writes("array_in_place") do |m|
    s = m::Sample.create!(many_strings: ["a"])
    s.many_strings << "b"
    s.save!
    m::Sample.find(s.id).many_strings
  end
  writes("binary_in_place") do |m|
    s = m::Sample.create!(a_binary: "\x00a".b)
    s.a_binary << "\xFF".b
    s.save!
    m::Sample.find(s.id).a_binary.bytes
  end
  writes("destroy_and_dependents") do |m|
    a = m::Account.create!(email: "a@example.com")
    2.times { |i| a.orders.create!(number: i.to_s).lines.create!(sku: "s") }
    m::Profile.create!(account: a)
    a.reload.destroy!
    [m::Order.count, m::Line.count, m::Profile.count, a.destroyed?, a.frozen?]
  end
  writes("delete_and_delete_all") do |m|
    3.times { |i| m::Account.create!(email: "#{i}@example.com") }
    [m::Account.first.delete.destroyed?, m::Account.where("email LIKE '1%'").delete_all, m::Account.delete_by(email: "nobody"), m::Account.count]
  end
  writes("update_all_and_counters") do |m|
    a = m::Account.create!(email: "a@example.com", balance: 1)
    n = m::Account.update_all("balance = balance * 3")
    m::Account.update_counters(a.id, orders_count: 5)
    m::Account.increment_counter(:orders_count, a.id)
    a.reload.increment!(:orders_count).decrement!(:orders_count, 2)
    [n, a.reload.balance, a.orders_count]
  end
  writes("counter_cache") do |m|
    a = m::Account.create!(email: "a@example.com")
    a.orders.create!(number: "1")
    a.orders.create!(number: "2")
    a.orders.first.destroy
    [a.reload.orders_count, a.orders.size]
  end
  writes("touch") do |m|
    a = m::Account.create!(email: "a@example.com", updated_at: 1.day.ago)
    before = a.updated_at
    m::Profile.create!(account: a, bio: "x")
    touched = a.reload.updated_at > before
    a.touch(time: Time.utc(2030))
    [touched, a.reload.updated_at]
  end
  writes("touch_happens_before_the_commit_of_the_transaction") do |m|
    a = m::Account.create!(email: "a@example.com", updated_at: 1.day.ago)
    p = m::Profile.create!(account: a)
    m::Account.update_all(updated_at: 1.day.ago)
    m::Base.transaction(requires_new: true) { p.reload.update!(bio: "new") }
    m::Account.find(a.id).updated_at > 1.hour.ago
  end
  writes("enum") do |m|
    a = m::Account.create!(email: "a@example.com")
    a.suspended!
    [a.reload.status, m::Account.suspended.count, m::Account.not_active.count, a.suspended?, (m::Account.new(status: :nope) rescue $!.class.name)]
  end
  writes("insert_all") do |m|
    rows = [{ email: "a@example.com", created_at: Time.now, updated_at: Time.now }, { email: "b@example.com", created_at: Time.now, updated_at: Time.now }]
    r = m::Account.insert_all(rows + [rows[0]], returning: %w[email status])
    [r.rows, r.columns, m::Account.insert_all(rows).rows.size, m::Account.count]
  end
  writes("insert_all!") do |m|
    now = Time.now
    m::Account.insert_all!([{ email: "a@example.com", created_at: now, updated_at: now }])
    begin
      m::Base.transaction(requires_new: true) { m::Account.insert_all!([{ email: "A@example.com", created_at: now, updated_at: now }]) }
    rescue ActiveRecord::RecordNotUnique => e
      [e.class.name, m::Account.count]
    end
  end
  writes("upsert_all") do |m|
    now = Time.utc(2026)
    row = { email: "a@example.com", name: "A", settings: { a: 1 }, created_at: now, updated_at: now }
    m::Account.upsert_all([row, row.merge(email: "b@example.com")], unique_by: :email)
    r = m::Account.upsert_all([row.merge(name: "New"), row.merge(email: "c@example.com")], unique_by: :index_accounts_on_email, returning: :name)
    [r.rows, m::Account.order(:email).pluck(:email, :name, :settings)]
  end
  writes("upsert_and_insert") do |m|
    now = Time.utc(2026)
    m::Account.insert({ email: "a@example.com", created_at: now, updated_at: now })
    m::Account.upsert({ email: "a@example.com", name: "Up", created_at: now, updated_at: now }, unique_by: :email)
    m::Account.pluck(:email, :name)
  end
  writes("bulk_of_thousands") do |m|
    m::Line.insert_all(Array.new(2000) { |i| { sku: "sku-#{i}", quantity: i, price: i / 100.0 } })
    [m::Line.count, m::Line.sum(:quantity), m::Line.find_each(batch_size: 1000).sum(&:quantity)]
  end
  writes("optimistic_locking") do |m|
    a = m::Account.create!(email: "a@example.com")
    stale = m::Account.find(a.id)
    a.update!(name: "first")
    error = begin
      stale.update!(name: "second")
    rescue ActiveRecord::StaleObjectError => e
      e.class.name
    end
    [error, a.reload.name, a.lock_version]
  end
  writes("pessimistic_locking") do |m|
    a = m::Account.create!(email: "a@example.com")
    m::Account.where(id: a.id).update_all(name: "behind its back")
    seen = a.with_lock { a.update!(balance: 5); a.name }
    [seen, a.lock!.balance, statements(m) { a.lock!("FOR UPDATE NOWAIT") }.last[/FOR UPDATE.*/]]
  end
  writes("find_or_create") do |m|
    [m::Account.find_or_create_by!(email: "a@example.com").previously_new_record?, m::Account.find_or_create_by!(email: "a@example.com").previously_new_record?,
     m::Account.find_or_initialize_by(email: "b@example.com").new_record?]
  end
  writes("create_or_find") do |m|
    now = Time.now
    m::Account.insert({ email: "a@example.com", created_at: now, updated_at: now })
    klass = Class.new(m::Base) { self.table_name = "accounts" }
    [klass.create_or_find_by!(email: "a@example.com").previously_new_record?, klass.create_or_find_by!(email: "z@example.com").previously_new_record?, klass.count]
  end
  writes("rescued_violation_leaves_the_rest_usable") do |m|
    klass = Class.new(m::Base) { self.table_name = "accounts" }
    klass.create!(email: "a@example.com")
    again = begin
      # Inside assert_same's own transaction plain PostgreSQL needs a savepoint too.
      klass.transaction(requires_new: true) { klass.create!(email: "a@example.com") }
    rescue ActiveRecord::RecordNotUnique => e
      e.class.name
    end
    [again, klass.create!(email: "b@example.com").persisted?, klass.count]
  end
  writes("validation_failures") do |m|
    m::Account.create!(email: "a@example.com")
    [m::Account.create(email: "A@EXAMPLE.com").errors.full_messages, (m::Account.create! rescue $!.message), m::Account.new.save, m::Account.count]
  end
  writes("nested_attributes") do |m|
    a = m::Account.create!(email: "a@example.com", orders_attributes: [{ number: "1" }, { number: "2" }])
    o = a.orders.to_a
    a.update!(orders_attributes: [{ id: o[0].id, number: "1b" }, { id: o[1].id, _destroy: true }, { number: "3" }])
    a.reload.orders.map(&:number)
  end
  writes("uuid_primary_keys") do |m|
    n = m::Note.create!(body: "x")
    [n.id.match?(/\A\h{8}-\h{4}-4/), m::Note.find(n.id).body, m::Note.create!(id: TypesTest::UUID).id, m::Note.insert_all([{ body: "b" }]).rows.first.first.size]
  end
  writes("becomes_and_dup") do |m|
    a = m::Account.create!(email: "a@example.com", settings: { a: 1 })
    b = a.dup
    b.update!(email: "b@example.com")
    [b.id == a.id, b.settings, m::Account.count]
  end
  writes("insert_without_returning_and_defaults_only") do |m|
    [m::Profile.create!.bio, m::Base.connection.exec_insert("INSERT INTO journal DEFAULT VALUES").columns, m::Base.connection.insert("INSERT INTO journal (entry) VALUES ('x')").class.name,
     m::Base.connection.update("UPDATE journal SET entry = 'y'"), m::Base.connection.delete("DELETE FROM journal")]
  end
  writes("expression_and_generated_values") do |m|
    m::Account.create!(email: "a@example.com", balance: 4)
    m::Account.where("balance > 0").update_all(["name = concat(?::text, balance::text)", "has "])
    m::Account.pluck(:name)
  end
  writes("text_with_everything") do |m|
    texts = ["\u0001\u007F", "\r\n", "%_\\", "$1", "?", ":name", "--x", "/*", "💶", "e\u0301"]
    texts.each { |t| m::Entry.create!(entry: t) }
    m::Entry.order(:id).pluck(:entry) == texts && texts.map { |t| m::Entry.where(entry: t).count }
  end
  writes("zero_byte_is_refused") do |m|
    m::Base.transaction(requires_new: true) { m::Entry.create!(entry: "a\u0000b") }
  rescue StandardError => e
    e.class.ancestors.include?(StandardError)
  end
  # Their connection would wait for our lock.
  def test_truncation
    Ours::Entry.create!(entry: "x")
    connection.truncate("journal")
    assert_equal 0, Ours::Entry.count
  end

  # A savepoint surrounds each save, so the rest of the step goes on.
  def test_a_violation_needs_no_savepoint_of_the_users
    klass = Class.new(Ours::Base) { self.table_name = "accounts" }
    klass.create!(email: "a@example.com")
    assert_raises(ActiveRecord::RecordNotUnique) { klass.create!(email: "a@example.com") }
    assert_equal 1, klass.count
  end

  private

  def statements(models)
    seen = []
    listener = ->(*, payload) { seen << payload[:sql] if payload[:connection] == models::Base.connection && payload[:name] != "SCHEMA" }
    ActiveSupport::Notifications.subscribed(listener, "sql.active_record") { yield }
    seen
  end
end

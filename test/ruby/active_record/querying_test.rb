# frozen_string_literal: true

# Queries through the adapter return what ActiveRecord's own adapter returns.
class QueryingTest < Suite::Case
  def self.answers(name, &block)
    define_method("test_#{name}") { assert_same { |m| seed(m) && instance_exec(m, &block) } }
  end

  answers("order_and_limit") { |m| m::Account.order(balance: :desc, email: :asc).limit(2).offset(1).pluck(:email) }
  answers("where_hash") { |m| m::Account.where(status: :active, name: %w[Ann Bob]).order(:email).pluck(:name) }
  answers("where_range") { |m| m::Account.where(balance: 10..150).order(:email).pluck(:email) }
  answers("where_endless_range") { |m| m::Account.where(balance: 100..).order(:email).pluck(:email) }
  answers("where_nil_and_array_with_nil") { |m| [m::Account.where(name: nil).count, m::Account.where(name: [nil, "Ann"]).count] }
  answers("where_text_with_binds") { |m| m::Account.where("balance > :low AND name <> :name", low: 1, name: "O'Neil").count }
  answers("where_not_or_and") do |m|
    m::Account.where.not(status: :closed).or(m::Account.where(email: "cat@example.com")).order(:email).pluck(:email)
  end
  answers("empty_in") { |m| m::Account.where(id: []).to_a }
  answers("many_binds") { |m| m::Account.where(email: Array.new(500) { |i| "x#{i}@example.com" } + ["ann@example.com"]).count }
  answers("scopes_and_merge") { |m| m::Order.joins(:account).merge(m::Account.rich).order(:number).pluck(:number) }
  answers("joins_and_aliases") do |m|
    m::Account.joins(orders: :lines).group("accounts.email").order("accounts.email").sum("lines.quantity * lines.price")
  end
  answers("left_joins") { |m| m::Account.left_joins(:orders).where(orders: { id: nil }).order(:email).pluck(:email) }
  answers("where_missing") { |m| m::Account.where.missing(:profile).order(:email).pluck(:email) }
  answers("includes") { |m| m::Account.order(:email).includes(orders: :lines).map { |a| [a.email, a.orders.map { |o| o.lines.map(&:sku).sort }] } }
  answers("eager_load") { |m| m::Account.eager_load(:orders, :profile).order("accounts.email, orders.number").map { |a| [a.email, a.orders.map(&:number), a.profile&.bio] } }
  answers("preload_polymorphic") { |m| m::Note.order(:body).preload(:subject).map { |n| n.subject&.then { |s| s.try(:email) || s.try(:number) } } }
  answers("has_many_through") { |m| m::Account.find_by(email: "ann@example.com").lines.order(:sku).pluck(:sku) }
  answers("single_table_inheritance") { |m| m::Remark.create!(body: "r") && [m::Remark.count, m::Note.find_by(body: "r").class.name[/\w+\z/]] }
  answers("group_and_having") { |m| m::Account.group(:status).having("count(*) > 1").count }
  answers("group_by_two") { |m| m::Order.group(:placed_on, :account_id).count.values.sort }
  answers("calculations") do |m|
    [m::Account.sum(:balance), m::Account.average(:balance), m::Account.minimum(:balance), m::Account.maximum(:email),
     m::Account.count(:name), m::Account.distinct.count(:status), m::Order.sum("id * 0.5").class.name]
  end
  answers("calculations_of_nothing") { |m| r = m::Account.none; [r.sum(:balance), r.average(:balance), r.count, r.maximum(:id), r.to_a] }
  answers("pluck_expressions") { |m| m::Account.order(:email).pluck(:email, Arel.sql("upper(name)"), Arel.sql("balance * 2"), :settings) }
  answers("pick_and_ids") { |m| [m::Account.order(:email).pick(:email), m::Account.ids.size, m::Account.order(:email).ids.first.class.name] }
  answers("exists") { |m| [m::Account.exists?, m::Account.exists?(email: "no"), m::Account.where(name: "Ann").any?, m::Account.none?, m::Account.many?, m::Account.where(name: "Ann").one?] }
  answers("distinct_on_text") { |m| m::Account.select("DISTINCT ON (status) email").order(:status, :email).map(&:email) }
  answers("from_subquery") { |m| m::Account.from(m::Account.where(status: :active), :accounts).order(:email).pluck(:email) }
  answers("where_in_subquery") { |m| m::Account.where(id: m::Order.select(:account_id)).order(:email).pluck(:email) }
  answers("select_with_window") { |m| m::Account.select("email, rank() OVER (ORDER BY balance DESC) AS place").order("place, email").map { |a| [a.email, a.place] } }
  answers("find_by_sql") { |m| m::Account.find_by_sql(["SELECT *, 1 + ? AS two FROM accounts WHERE name = ?", 1, "Ann"]).map { |a| [a.email, a.two] } }
  answers("with_recursive_text") { |m| m::Base.connection.select_values("WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t") }
  answers("jsonb_operators") { |m| m::Account.where("settings @> ?", { theme: "dark" }.to_json).or(m::Account.where("settings ->> 'locale' = 'de'")).order(:email).pluck(:email) }
  answers("jsonb_question_mark_operator") { |m| m::Account.where("jsonb_exists(settings, 'theme')").count }
  answers("store_accessor") { |m| m::Account.order(:email).map { |a| [a.theme, a.locale] } }
  answers("citext") { |m| [m::Account.find_by(email: "ANN@EXAMPLE.COM")&.name, m::Account.where(email: "Ann@Example.com").count] }
  answers("case_insensitive") { |m| m::Account.new(email: "ANN@example.com").tap(&:valid?).errors.full_messages }
  answers("find_each") { |m| m::Account.find_each(batch_size: 2).map(&:email).sort }
  answers("find_in_batches") { |m| m::Account.find_in_batches(batch_size: 3).map(&:size) }
  answers("in_batches") { |m| m::Account.in_batches(of: 2).map { |r| r.update_all(name: "x") } }
  answers("find_errors") do |m|
    [-> { m::Account.find(-1) }, -> { m::Account.find_by!(name: "nobody") }, -> { m::Account.order(:id).where(id: -1).first! }].map do |f|
      begin
        f.call
      rescue ActiveRecord::RecordNotFound => e
        e.class.name
      end
    end
  end
  answers("find_many_keeps_order") do |m|
    ids = m::Account.order(email: :desc).ids
    m::Account.find(ids).map(&:email)
  end
  answers("first_last_take") { |m| [m::Account.order(:email).first.email, m::Account.order(:email).last(2).map(&:email), m::Account.order(:email).second.email, m::Account.order(:email).take.email] }
  answers("reverse_order_and_reorder") { |m| m::Account.order(:email).reverse_order.pluck(:email) + m::Account.order(:id).reorder(:name).pluck(:name) }
  answers("unscope_and_rewhere") { |m| m::Account.where(name: "Ann").rewhere(name: "Bob").pluck(:email) + m::Account.where(name: "Ann").unscope(:where).order(:email).pluck(:email) }
  answers("extract_associated") { |m| m::Profile.order(:bio).extract_associated(:account).map(&:email) }
  answers("lock_clauses") { |m| m::Account.lock.order(:email).map(&:email) + m::Account.lock("FOR SHARE SKIP LOCKED").pluck(:name).compact.sort }
  answers("explain") { |m| m::Account.where(id: 1).explain.inspect.include?("QUERY PLAN") }
  answers("annotate_and_optimizer_hints") { |m| m::Account.annotate("why */ not").where(name: "Ann").pluck(:email) }
  answers("connection_methods") do |m|
    c = m::Base.connection
    [c.select_value("SELECT 1"), c.select_values("VALUES (1), (2)"), c.select_rows("SELECT 1, 'a', NULL"), c.select_one("SELECT 1 AS a, 'b' AS b"),
     c.select_all("SELECT 1 AS a").to_a, c.select_all("SELECT 1 AS a WHERE false").to_a, c.query_value("SELECT 'v'"), c.query_values("VALUES (1), (2)"),
     c.exec_query("SELECT $1::int + 1 AS n", "SQL", [ActiveRecord::Relation::QueryAttribute.new("n", 41, ActiveModel::Type::Integer.new)]).rows,
     c.execute("SELECT 1 AS a, 2 AS a").values, c.execute("SELECT 'x' AS a").first, c.execute("SELECT 1.5 AS n").getvalue(0, 0).class.name]
  end
  answers("duplicate_column_names") { |m| r = m::Base.connection.select_all("SELECT 1 AS a, 2 AS a"); [r.columns, r.rows, r.to_a] }
  answers("many_columns_and_rows") { |m| m::Base.connection.select_rows("SELECT #{Array.new(200) { |i| "n + #{i}" }.join(", ")} FROM generate_series(1, 500) n").sum { |r| r.sum } }
  answers("empty_statement") { |m| [m::Base.connection.execute("").ntuples, m::Base.connection.execute(" -- nothing").cmd_tuples] }
  answers("several_statements") { |m| m::Base.connection.execute("SELECT 1 AS a; SELECT 2 AS b").to_a }
  answers("quoting") do |m|
    c = m::Base.connection
    [c.quote("it's \\ ok"), c.quote(nil), c.quote(1.5), c.quote(true), c.quote(Date.new(2026, 1, 2)), c.quote_column_name('a"b'), c.quote_table_name("s.t"),
     c.select_value("SELECT #{c.quote("it's \\ ok")}"), c.quote(ActiveModel::Type::Binary::Data.new("\x00\\'".b)), c.quote(1..3)]
  rescue StandardError => e
    [e.class, e.message]
  end

  def test_strict_loading
    assert_same do |m|
      seed(m)
      begin
        m::Account.strict_loading.order(:email).first.orders.to_a
      rescue ActiveRecord::StrictLoadingViolationError => e
        e.class.name
      end
    end
  end

  private

  def seed(models)
    accounts = [["ann@example.com", "Ann", 0, 150, { theme: "dark" }], ["bob@example.com", "Bob", 0, 50, { locale: "de" }],
                ["cat@example.com", nil, 2, 100, {}], ["dan@example.com", "O'Neil", 1, "0.5", { theme: "light", locale: "fr" }],
                ["eve@example.com", "Eve", 0, 0, {}]].map do |email, name, status, balance, settings|
      models::Account.create!(email: email, name: name, status: status, balance: balance, settings: settings)
    end
    lines = []
    accounts.first(2).each_with_index do |account, i|
      models::Profile.create!(account: account, bio: "bio #{i}")
      3.times do |n|
        order = account.orders.create!(number: "#{account.name}-#{n}", placed_on: Date.new(2026, 1, 1 + n))
        2.times { |l| lines << { order_id: order.id, sku: "#{order.number}-#{l}", quantity: l + 1, price: BigDecimal("9.95") } }
      end
      models::Note.create!(body: "about #{account.email}", subject: account)
    end
    models::Line.insert_all!(lines)
    models::Note.create!(body: "zero", subject: accounts.first.orders.first)
  end
end

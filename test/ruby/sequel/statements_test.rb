# frozen_string_literal: true

module SequelSuite
  # Prepared statements and bound variables.
  class StatementsTest < Case
    def people
      same do |database|
        database.create_table(:people) { primary_key :id; String :name; Integer :age }
        database[:people].import(%i[name age], [["ann", 30], ["bob", 20], ["cy", nil]])
        yield database[:people], database
      end
    end

    def test_notices
      told = [SequelSuite.theirs, db].map do |database|
        heard = []
        Sequel.connect(database.opts.merge(notice_receiver: ->(notice) { heard << notice.result_error_message })) do |d|
          d.do("BEGIN\nRAISE WARNING 'foo';\nRAISE NOTICE 'too low';\nEND;")
        end
        heard
      end
      assert_equal [["WARNING:  foo\n"]] * 2, told
    end

    def test_prepared_statements_of_each_kind
      people do |ds, database|
        ds.where(name: :$n).prepare(:select, :pick)
        ds.where(name: :$n).prepare(:first, :pick_first)
        ds.prepare(:insert, :add, name: :$n, age: :$a)
        ds.where(name: :$n).prepare(:update, :age_them, age: :$a)
        ds.where(name: :$n).prepare(:delete, :drop_them)
        ds.where { age > :$a }.prepare([:map, :name], :older)
        ds.where { age > :$a }.prepare([:select_map, :name].first(1) + [:name], :older_names) rescue nil
        ds.where(name: :$n).prepare([:get, :age], :age_of) rescue nil
        [database.call(:pick, n: "ann"), database.call(:pick_first, n: "bob"), database.call(:add, n: "dee", a: 1), database.call(:age_them, n: "dee", a: 50),
         database.call(:drop_them, n: "cy"), database.call(:older, a: 25), database.call(:pick, n: nil), ds.order(:id).all]
      end
    end

    def test_the_same_statement_many_times
      people { |ds, database| ds.where(id: :$i).prepare(:first, :by_id); (1..20).map { |i| database.call(:by_id, i: (i % 3) + 1)[:name] } }
    end

    def test_a_name_prepared_again
      people do |ds, database|
        ds.where(name: :$n).prepare(:select, :changing)
        one = database.call(:changing, n: "ann").size
        ds.where(age: :$n).prepare(:select, :changing)
        [one, database.call(:changing, n: 20).map { |r| r[:name] }]
      end
    end

    def test_bound_variables
      people do |ds|
        [ds.where(name: :$n).call(:first, n: "ann"), ds.where(age: :$a).call(:select, a: 20), ds.call(:insert, { n: "x", a: 9 }, name: :$n, age: :$a),
         ds.where(name: :$n).call(:update, { n: "x", a: 10 }, age: :$a), ds.where(name: :$n).call(:delete, n: "x"),
         ds.where(Sequel[name: :$n] | { age: :$a }).call([:select_map, :name].first(1) + [:name], n: "ann", a: 20)]
      rescue Sequel::Error => e
        e.class
      end
    end

    def test_values_of_parameters
      same do |database|
        ds = database.select(Sequel.cast(:$v, String).as(:v))
        [1, 1.5, true, nil, "it's", BigDecimal("1.5"), 2**70, :sym.to_s, Date.new(2026, 1, 2)].map { |v| ds.call(:first, v: v) }
      end
      same { |database| database.select(Sequel.cast(:$v, :bytea).as(:v)).call(:first, v: Sequel.blob("\0\xFF".b)) }
      same { |database| database.select(Sequel.cast(:$v, "integer[]").as(:v)).call(:first, v: Sequel.pg_array([1, 2], :integer)) }
      same { |database| database.select(Sequel.cast(:$v, :jsonb).as(:v)).call(:first, v: Sequel.pg_jsonb("a" => 1)) }
      same { |database| database.select(Sequel.cast(:$v, :timestamptz).as(:v)).call(:first, v: Time.utc(2026, 1, 2, 3, 4, 5)) }
    end

    def test_a_prepared_statement_that_fails
      people do |ds, database|
        ds.prepare(:insert, :add_bad, name: :$n, id: :$i)
        failed = begin
          database.transaction(savepoint: true) { database.call(:add_bad, n: "x", i: 1) }
        rescue Sequel::UniqueConstraintViolation => e
          database.error_info(e)[:constraint]
        end
        [failed, database.call(:add_bad, n: "y", i: 99)]
      end
    end

    def test_a_statement_after_its_table_has_changed
      trying do
        db.create_table(:changing) { primary_key :id; Integer :a }
        db[:changing].insert(a: 1)
        db[:changing].where(id: :$i).select(:a).prepare(:select, :of_changing)
        3.times { db.call(:of_changing, i: 1) }
        db.alter_table(:changing) { add_column :b, Integer, default: 2 }
        assert_equal [{ a: 1 }], db.call(:of_changing, i: 1)
      end
    end

    def test_prepared_statements_are_there_for_other_threads
      db.select(Sequel.cast(:$v, Integer).as(:v)).prepare(:first, :from_threads)
      assert_equal [0, 1, 2, 3], Array.new(4) { |i| Thread.new { db.call(:from_threads, v: i)[:v] } }.map(&:value)
    end

    def test_auto_parameterize
      other = Sequel.connect("tasker:///", keep_reference: false)
      other.extension(:pg_auto_parameterize)
      ds = other[:kept].where(entry: "a", id: [1, 2, 3])
      assert_match(/"entry" = \$1/, ds.sql)
      assert_equal [0, 0, 0], Array.new(3) { ds.count }
    ensure
      other&.disconnect
    end

    def test_a_connection_that_was_finished_is_replaced
      assert_raises(Sequel::DatabaseDisconnectError) do
        db.synchronize do |conn|
          conn.finish
          db.get(1)
        end
      end
      assert_equal 1, db.get(1)
    end

    def test_text_is_not_taken_for_parameters
      same { |database| database["SELECT '$1 ? :x' AS a, '{\"b\": 1}'::jsonb ?? 'b' AS b"].first }
      same { |database| database.fetch("SELECT '50%' AS a").first }
    end
  end
end

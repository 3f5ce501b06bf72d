# frozen_string_literal: true

module SequelSuite
  # What datasets write.
  class WritingTest < Case
    def goods
      same do |database|
        database.create_table(:goods) do
          primary_key :id
          String :name, unique: true
          Integer :number, default: 7
          index %i[name number]
        end
        yield database[:goods], database
      end
    end

    def test_insert
      goods do |ds|
        [ds.insert(name: "a"), ds.insert(%i[name number], ["b", 2]), ds.insert, ds.insert({ name: nil }), ds.insert(name: Sequel.function(:upper, "x")), ds.order(:id).all]
      end
    end

    def test_insert_of_a_query
      goods do |ds|
        ds.insert(name: "a")
        ds.insert(%i[name number], ds.select(Sequel.join([:name, "2"]), 5))
        ds.order(:id).select_map(%i[name number])
      end
    end

    def test_returning
      goods do |ds|
        [ds.returning.insert(name: "a"), ds.returning(:id, :number).insert(name: "b"), ds.returning(:name).where(id: 1).update(number: 9),
         ds.returning(:id).where(id: 2).delete, ds.returning(Sequel[:number].as(:n)).insert(name: "c") { |r| r }, ds.insert_select(name: "d"),
         ds.returning(:id).with_sql(:insert_sql, name: "e").map(:id)]
      end
    end

    def test_update_and_delete
      goods do |ds|
        ds.import([:name], [["a"], ["b"], ["c"]])
        [ds.where(name: "a").update(number: 1), ds.update(number: Sequel[:number] + 1), ds.where(name: "zz").update(number: 0),
         ds.where(id: 3).delete, ds.order(:id).all, ds.where { id > 0 }.delete, ds.count]
      end
    end

    def test_update_from_and_delete_using
      goods do |ds, database|
        ds.import([:name], [["a"], ["b"], ["c"]])
        others = database.values([["a", 10], ["b", 20]]).as(:o, %i[name number])
        updated = database.from(:goods, others).where(Sequel[:goods][:name] => Sequel[:o][:name]).update(number: Sequel[:o][:number])
        deleted = database.from(:goods, database.values([["c"]]).as(:u, [:name])).where(Sequel[:goods][:name] => Sequel[:u][:name]).delete
        [updated, deleted, ds.order(:id).select_map(%i[name number])]
      end
    end

    def test_bulk_insert
      goods do |ds|
        rows = Array.new(250) { |i| { name: "n#{i}", number: i } }
        [ds.multi_insert(rows), ds.import(%i[name number], [["x", 1], ["y", nil]], return: :primary_key),
         ds.multi_insert([{ name: "p" }, { name: "q" }], return: :primary_key), ds.import([:name], Array.new(7) { |i| ["s#{i}"] }, slice: 3).class,
         ds.multi_insert([{ name: "r1" }, { name: "r2" }], commit_every: 1).class, ds.returning(:name).import([:name], [["t"]]), ds.count, ds.sum(:number)]
      end
    end

    def test_import_of_a_query
      goods { |ds| [ds.import(%i[name number], ds.db.values([["v", 1]])), ds.all] }
    end

    def test_upsert
      goods do |ds|
        ds.insert(name: "a", number: 1)
        [ds.insert_conflict.insert(name: "a", number: 2), ds.insert_conflict(target: :name).insert(name: "a"), ds.insert_ignore.insert(name: "a"),
         ds.insert_conflict(target: :name, update: { number: Sequel[:excluded][:number] + 100 }).insert(name: "a", number: 5),
         ds.insert_conflict(target: :name, update: { number: 0 }, update_where: { Sequel[:goods][:number] => 1 }).insert(name: "a"),
         ds.insert_conflict(constraint: :goods_name_key, update: { number: 50 }).returning.insert(name: "a"),
         ds.insert_conflict(target: :name, update: { number: 1 }).multi_insert([{ name: "a" }, { name: "b" }]), ds.order(:id).select_map(%i[name number])]
      end
    end

    def test_merge
      goods do |ds, database|
        ds.insert(name: "a", number: 1)
        database.create_table(:incoming) { String :name; Integer :number }
        database[:incoming].import(%i[name number], [["a", 10], ["b", 20]])
        ds.merge_using(:incoming, Sequel[:incoming][:name] => Sequel[:goods][:name])
          .merge_update(number: Sequel[:incoming][:number])
          .merge_insert(name: Sequel[:incoming][:name], number: Sequel[:incoming][:number]).merge
        ds.order(:name).select_map(%i[name number])
      end
    end

    def test_truncate_and_sequences
      goods do |ds, database|
        ds.insert(name: "a")
        ds.truncate(restart: true)
        id = ds.insert(name: "b")
        ds.insert(id: 100, name: "c")
        database.reset_primary_key_sequence(:goods)
        [id, ds.insert(name: "d"), database.primary_key(:goods), database.primary_key_sequence(:goods)]
      end
    end

    def test_copy_into
      goods do |ds, database|
        database.copy_into(:goods, columns: %i[name number], data: "a\t1\nb\t\\N\n")
        database.copy_into(:goods, columns: %i[name number], format: :csv, data: ["c,3\n", "\"d,\"\"d\"\"\",4\n"])
        lines = ["e,5\n", "f,6\n"]
        database.copy_into(:goods, columns: %i[name number], format: :csv) { lines.shift }
        ds.order(:id).select_map(%i[name number])
      end
    end

    def test_copy_into_that_fails
      goods do |ds, database|
        failed = begin
          database.transaction(savepoint: true) { database.copy_into(:goods, columns: [:number], data: "x\n") }
        rescue Sequel::Error => e
          [e.class, e.message.lines.first, database.error_info(e)[:sql_state]]
        end
        raised = begin
          database.transaction(savepoint: true) { database.copy_into(:goods, columns: [:number]) { raise ArgumentError, "no data" } }
        rescue ArgumentError => e
          e.message
        end
        [failed, raised, ds.count]
      end
    end

    def test_copy_table
      goods do |ds, database|
        ds.import(%i[name number], [["a", 1], ["b\tb", nil], ["ünï", 3]])
        rows = []
        database.copy_table(ds.order(:id).select(:name, :number)) { |line| rows << line.dup.force_encoding("UTF-8") }
        text = database.copy_table(ds.order(:id).select(:name), format: :csv, options: "HEADER true").force_encoding("UTF-8")
        [rows, text, database.copy_table("COPY (SELECT 1) TO STDOUT").force_encoding("UTF-8")]
      end
    end

    def test_copy_table_that_fails
      goods do |ds, database|
        ds.import(%i[name number], [["a", 1], ["b", 0]])
        failed = begin
          database.transaction(savepoint: true) { database.copy_table(ds.select(Sequel.lit("1 / number"))) }
        rescue Sequel::DatabaseError => e # with our adapter the connection can still be used
          [e.message.lines.first, database.error_info(e)[:sql_state]]
        end
        [failed, ds.count]
      end
    end

    def test_many_parameters_and_long_texts
      goods do |ds|
        ds.insert(name: "x" * 300_000)
        [ds.get(Sequel.char_length(:name)), ds.where(id: (1..3000).to_a).count, ds.get(:name).size]
      end
    end

    def test_schema_statements
      goods do |ds, database|
        database.alter_table(:goods) do
          add_column :added, :date
          set_column_type :number, :bigint
          rename_column :name, :title
          add_constraint(:positive) { number > 0 }
        end
        database.create_view(:some, database[:goods].where(number: 7))
        database.create_function(:twice, "SELECT $1 * 2", args: [:integer], returns: :integer, language: :sql)
        database.comment_on(:table, :goods, "what is sold") if database.respond_to?(:comment_on)
        ds.insert(title: "a")
        [database.schema(:goods).map { |c, s| [c, s[:type], s[:db_type], s[:allow_null], s[:ruby_default]] }, database[:some].count,
         database.get(Sequel.function(:twice, 4)), database.indexes(:goods).keys, database.table_exists?(:goods), database.table_exists?(:nothing),
         database.tables.include?(:goods), database.views.include?(:some), database.foreign_key_list(:goods), database.check_constraints(:goods).keys]
      end
    end

    def test_call_procedure_and_run
      goods do |ds, database|
        database.run("CREATE PROCEDURE add_good(n text) LANGUAGE sql AS $$ INSERT INTO goods (name) VALUES (n) $$")
        database.call_procedure(:add_good, "p")
        database << "INSERT INTO goods (name) VALUES ('q'); INSERT INTO goods (name) VALUES ('r')"
        database.execute_ddl("COMMENT ON TABLE goods IS 'x; y'")
        [database.do("BEGIN UPDATE goods SET number = 1; END"), ds.order(:id).select_map(%i[name number]),
         database.execute("SELECT 1 AS a") { |r| r.getvalue(0, 0) }, database.execute_dui("UPDATE goods SET number = 2"), database.execute_insert("INSERT INTO goods DEFAULT VALUES")]
      end
    end
  end
end

# frozen_string_literal: true

module SequelSuite
  # What datasets read.
  class ReadingTest < Case
    def with_items(database)
      database.create_table(:items) do
        primary_key :id
        String :name
        Integer :number
        String :colour
      end
      rows = [["nut", 3, "grey"], ["bolt", 1, "black"], ["screw", 2, "grey"], ["nail", nil, nil]]
      database[:items].import(%i[name number colour], rows)
      database[:items]
    end

    def items(&block)
      same { |database| block.call(with_items(database), database) }
    end

    def test_all_first_get_count
      items do |ds|
        [ds.order(:id).all, ds.order(:number).first, ds.first(name: "bolt"), ds.first(name: "none"), ds.order(:id).last,
         ds.get(:name), ds.count, ds.where(name: "x").empty?, ds.where(number: nil).all, ds.first(2).size, ds.where(id: 1).single_record]
      end
    end

    def test_columns
      items { |ds| [ds.columns, ds.select(:name, Sequel[:number].as(:n)).columns, ds.where(false).columns] }
    end

    # The gem sequel_pg replaces these methods.
    def test_maps_and_hashes
      items do |ds|
        ds = ds.order(:id)
        [ds.map(:name), ds.map(%i[id name]), ds.map { |r| r[:number] }, ds.select_map(:name), ds.select_map(%i[id name]),
         ds.select_order_map(:name), ds.select_hash(:id, :name), ds.select_hash(%i[id name], :number), ds.as_hash(:id), ds.as_hash(:id, :name),
         ds.as_hash(%i[id name], %i[number colour]), ds.to_hash(:name, :number), ds.select_hash_groups(:colour, :name),
         ds.to_hash_groups(:colour), ds.to_hash_groups(:colour, %i[id name]), ds.to_hash(:id, :name, hash: {})]
      end
    end

    def test_each_and_enumerable
      items do |ds|
        seen = []
        ds.order(:id).each { |r| seen << r[:id] }
        [seen, ds.order(:id).to_a.size, ds.order(:id).each_with_index.map { |r, i| [r[:name], i] }, ds.order(:id).lazy.map { |r| r[:name] }.first(2)]
      end
    end

    def test_an_enumerator_runs_in_a_fiber
      items do |ds|
        e = ds.order(:id).each_entry
        [e.next[:name], e.next[:name]]
      end
    end

    def test_aggregates
      items do |ds|
        [ds.sum(:number), ds.avg(:number), ds.max(:name), ds.min(:number), ds.group_and_count(:colour).order(:colour).all,
         ds.select_group(:colour).select_append { sum(number).as(total) }.having { count.function.* > 1 }.all,
         ds.get { [count.function.*, string_agg(name, ",").order(:id)] }]
      end
    end

    def test_conditions
      items do |ds|
        ds = ds.order(:id)
        [ds.where { number > 1 }.map(:id), ds.exclude(colour: nil).map(:id), ds.where(id: [1, 3]).map(:id), ds.where(id: 2..3).map(:id),
         ds.where(Sequel.like(:name, "n%")).map(:id), ds.where(Sequel.ilike(:name, "N%")).map(:id), ds.where(name: /^b/).map(:id),
         ds.where(Sequel.lit("number = ?", 3)).map(:id), ds.where(id: []).all, ds.where(Sequel.|({ id: 1 }, { id: 2 })).map(:id),
         ds.grep(:name, "%u%").map(:id), ds.where(Sequel[:name].pg_array.contains([]).sql_string).size]
      rescue StandardError => e
        e.class
      end
    end

    def test_joins_unions_subselects_and_ctes
      items do |ds, database|
        others = database.values([[1, "x"], [2, "y"]]).from_self(alias: :o)
        [ds.join(others, column1: :id).order(:id).select_map(%i[name column2]),
         ds.left_join(others, { column1: :id }, table_alias: :p).order(:id).select_map(%i[id column2]),
         ds.where(id: 1).select(:name).union(ds.where(id: 2).select(:name)).order(:name).map(:name),
         ds.where(id: ds.select(:id).where(colour: "grey")).order(:id).map(:id),
         database[:t].with(:t, ds.where(colour: "grey")).count,
         database[:t].with_recursive(:t, database.select(Sequel.as(1, :n)), database[:t].select { n + 1 }.where { n < 5 }).select_map(:n),
         ds.order(:id).select(:id).select_append { row_number.function.over(order: :name).as(place) }.all,
         ds.distinct(:colour).order(:colour, :id).map(:id), ds.order(:id).limit(2, 1).map(:id),
         database.from(Sequel.function(:generate_series, 1, 3).as(:n)).select_map(:n), ds.for_update.order(:id).get(:id),
         database[:items].lateral.where(id: 1).from_self.count]
      end
    end

    def test_fetch_and_placeholders
      items do |_, database|
        [database["SELECT ? AS a, ? AS b", 1, "it's"].first, database.fetch("SELECT :x AS x", x: 2).all,
         database.get(Sequel.function(:upper, "abc")), database.fetch("SELECT 1 AS a, 2 AS a").all,
         database["SELECT * FROM items WHERE name = ?", "nut"].single_value, database.select(1).single_value!]
      end
    end

    def test_identifiers
      same do |database|
        database.create_table(:"Odd Table") { Integer :"a b"; Integer :"q\"q"; Integer :select }
        database[:"Odd Table"].insert("a b": 1, "q\"q": 2, select: 3)
        [database[:"Odd Table"].all, database[:"Odd Table"].where("a b": 1).get(:select)]
      end
    end

    def test_cursor
      items do |ds|
        seen = []
        ds.order(:id).use_cursor(rows_per_fetch: 2).each { |r| seen << r[:name] }
        ds.order(:id).use_cursor(rows_per_fetch: 1, cursor_name: "other").each do |r|
          ds.where_current_of("other").update(number: 9) if r[:name] == "bolt"
        end
        [seen, ds.where(number: 9).map(:name), ds.order(:id).paged_each(rows_per_fetch: 3).map { |r| r[:id] }]
      end
    end

    def test_a_cursor_left_early
      items { |ds| [ds.order(:id).use_cursor(rows_per_fetch: 1).each { |r| break r[:name] }, ds.count] }
    end

    def test_explain_and_analyze
      items { |ds| [ds.where(id: 1).explain.include?("items"), ds.analyze.include?("rows"), ds.where(id: 1).sql] }
    end

    def test_many_rows
      same { |database| database.from(Sequel.function(:generate_series, 1, 20_000).as(:n)).select_map(:n).sum }
    end

    def test_lock_and_nowait
      items do |ds, database|
        [ds.where(id: 1).for_update.nowait.get(:name), ds.for_share.skip_locked.count, ds.lock("SHARE").inspect,
         database.transaction(savepoint: true) { ds.lock_style(:update).first(id: 1)[:name] }]
      end
    end

    def test_with_sql_and_row_procs
      items do |ds|
        [ds.with_sql("SELECT count(*) AS n FROM items").all, ds.with_sql_single_value("SELECT 5"), ds.order(:id).with_row_proc(->(r) { r.values }).all,
         ds.naked.order(:id).first, ds.with_sql_first("SELECT 7 AS seven"), ds.with_sql_all("SELECT 8 AS eight")]
      end
    end
  end
end

# frozen_string_literal: true

require_relative "helper"
require "tasker/testing/api"

class TestingComparisonTest < Minitest::Test
  Once = Tasker::Testing::ExactlyOnce

  def difference(first, other, before: {}, context: {}, second: before.empty? && context.empty? ? renamed(first) : first)
    snapshots = [before, first, second, other].map { |rows| Once::Snapshot.new(rows) }
    @comparison = Once::Comparison.new(snapshots[1], snapshots[2], Once::Keys.new(snapshots[0], context))
    @comparison.difference(snapshots[3])&.join("\n")
  end

  # The same rows with other generated keys, as another run has them.
  def renamed(value, column = "")
    case value
    when Hash then value.to_h { |name, inner| [name, renamed(inner, name)] }
    when Array then value.map { |inner| renamed(inner) }
    else column.end_with?("id") ? (value.is_a?(Integer) ? value + 10_000 : "#{value}x") : value
    end
  end

  def test_the_order_of_rows_does_not_count
    assert_nil difference([{ a: 1 }, { a: 2 }], [{ a: 2 }, { a: 1 }])
    assert_match(/rows has 1 more row/, difference([{ a: 1 }], [{ a: 1 }, { a: 1 }]))
    assert_match(/rows has 1 fewer row/, difference([{ a: 1 }, { a: 1 }], [{ a: 1 }]))
    assert_match(/a is 3, and was 2/, difference([{ a: 1 }, { a: 2 }], [{ a: 3 }, { a: 1 }]))
  end

  def test_generated_keys_may_be_others
    assert_nil difference({ orders: [{ id: 1 }], lines: [{ id: 1, order_id: 1 }, { id: 2, order_id: 1 }] },
                          { orders: [{ id: 9 }], lines: [{ id: 5, order_id: 9 }, { id: 4, order_id: 9 }] })
  end

  def test_they_have_to_connect_the_same_rows
    first = { orders: [{ id: 1, n: "a" }, { id: 2, n: "b" }], lines: [{ order_id: 1, sku: "x" }, { order_id: 2, sku: "y" }] }
    assert_nil difference(first, { orders: [{ id: 8, n: "b" }, { id: 9, n: "a" }], lines: [{ order_id: 9, sku: "x" }, { order_id: 8, sku: "y" }] })
    crossed = { orders: [{ id: 8, n: "b" }, { id: 9, n: "a" }], lines: [{ order_id: 8, sku: "x" }, { order_id: 9, sku: "y" }] }
    assert_match(/(orders|lines) has the same values, but its keys connect other rows:\n  \+ .*\n  - /, difference(first, crossed))
    refute_nil difference(first, { orders: first[:orders], lines: [{ order_id: 1, sku: "x" }, { order_id: 1, sku: "y" }] })
  end

  def test_the_numbers_of_two_tables_are_of_two_kinds
    assert_nil difference({ orders: [{ id: 1 }], payments: [{ id: 1 }] }, { orders: [{ id: 1 }], payments: [{ id: 2 }] })
    assert_nil difference({ categories: [{ id: 1, n: 1 }, { id: 2, n: 2 }], goods: [{ category_id: 1 }] },
                          { categories: [{ id: 3, n: 2 }, { id: 4, n: 1 }], goods: [{ category_id: 4 }] })
    refute_nil difference({ categories: [{ id: 1, n: 1 }, { id: 2, n: 2 }], goods: [{ category_id: 1 }] },
                          { categories: [{ id: 3, n: 2 }, { id: 4, n: 1 }], goods: [{ category_id: 3 }] })
  end

  # Six keys in one ring, or in two rings of three: no colour tells them apart.
  def test_what_colours_cannot_tell
    ring = ->(*cycles) { { links: cycles.flat_map { |c| c.each_with_index.map { |id, i| { from_id: "n#{id}", to_id: "n#{c[(i + 1) % c.size]}" } } } } }
    assert_nil difference(ring.call([1, 2, 3, 4, 5, 6]), ring.call([2, 4, 6, 1, 3, 5]))
    refute_nil difference(ring.call([1, 2, 3, 4, 5, 6]), ring.call([1, 2, 3], [4, 5, 6]))
    assert_nil difference(ring.call([1, 2, 3], [4, 5, 6]), ring.call([6, 2, 3], [4, 5, 1]))
  end

  def test_many_equal_rows
    rows = ->(from) { Array.new(2000) { |i| { id: from + i, a: 1 } } }
    assert_nil difference(rows.call(1), rows.call(7))
    refute_nil difference(rows.call(1), rows.call(7) + [{ id: 1, a: 1 }])
  end

  def test_keys_that_were_there_before_stay
    before = { orders: [{ id: 7, state: "new" }, { id: 8, state: "new" }] }
    paid = ->(id) { { orders: [7, 8].map { |i| { id: i, state: i == id ? "paid" : "new" } } } }
    refute_nil difference(paid.call(7), paid.call(8), before: before)
    assert_nil difference(paid.call(7), paid.call(7), before: before)
    assert_nil difference(paid.call(7), paid.call(8))
  end

  def test_keys_of_the_context_stay
    refute_nil difference([{ order_id: 7 }], [{ order_id: 8 }], context: { order_id: 7 })
    refute_nil difference([{ customer: { id: 7 } }], [{ customer: { id: 8 } }], context: { customer: { id: 7 } })
    refute_nil difference([{ order_id: "x-7" }], [{ order_id: "x-8" }], context: { number: "x-7" })
    assert_nil difference([{ order_id: 7 }], [{ order_id: 8 }], context: { number: 7 }, second: [{ order_id: 9 }])
  end

  def test_a_key_that_each_run_has_is_not_generated
    first = [{ id: 1, warehouse_id: 3 }]
    second = [{ id: 2, warehouse_id: 3 }]
    assert_nil difference(first, [{ id: 5, warehouse_id: 3 }], second: second)
    assert_match(/warehouse_id is 4, and was 3/, difference(first, [{ id: 5, warehouse_id: 4 }], second: second))
  end

  def test_values_that_differ_without_a_crash
    first = [{ a: 1, token: "6f1c0b6e-1", speed: 1.5 }]
    second = [{ a: 1, token: "91bb31ca-2", speed: 1.6 }]
    assert_nil difference(first, [{ a: 1, token: "77777777-x", speed: 9.9 }], second: second)
    assert_equal ["rows.speed (differs without a crash)"], @comparison.not_compared
    assert_match(/a is 2, and was 1/, difference(first, [{ a: 2, token: "77777777-x", speed: 9.9 }], second: second))
  end

  def test_a_table_whose_rows_differ_without_a_crash
    first = { t: [{ a: 1, b: 1 }, { a: 2, b: 2 }], u: [{ a: 1 }] }
    second = { t: [{ a: 1, b: 2 }, { a: 2, b: 1 }], u: [{ a: 1 }] }
    assert_nil difference(first, { t: [{ a: 5, b: 6 }], u: [{ a: 1 }] }, second: second)
    assert_equal ["t (its rows differ without a crash)"], @comparison.not_compared
    refute_predicate @comparison, :nothing?
  end

  Model = Struct.new(:id, :state)
  Record = Class.new { def attributes = { "id" => 3, "state" => "x" } }

  # As a relation of ActiveRecord: its values are those of the query.
  class Relation
    include Enumerable

    def initialize(*records) = @records = records
    def each(...) = @records.each(...)
    def values = { where: "id > 2" }
  end

  def test_what_a_block_may_return
    { [Model.new(3, "x")] => { "rows" => [{ "id" => 3, "state" => "x" }] },
      Relation.new(Record.new) => { "rows" => [{ "id" => 3, "state" => "x" }] },
      { orders: Relation.new(Record.new) } => { "orders" => [{ "id" => 3, "state" => "x" }] },
      [Record.new] => { "rows" => [{ "id" => 3, "state" => "x" }] },
      [1, 2] => { "rows" => [{ "value" => 1 }, { "value" => 2 }] },
      [[1, :a]] => { "rows" => [{ "[0]" => 1, "[1]" => "a" }] },
      { count: 5 } => { "count" => [{ "value" => 5 }] },
      { shop: { orders: [{ id: 1 }], n: 2 } } => { "shop.orders" => [{ "id" => 1 }], "shop.n" => [{ "value" => 2 }] },
      { order: { id: 1, n: 2 } } => { "order" => [{ "id" => 1, "n" => 2 }] },
      [{ meta: { tags: ["a"], none: {} } }] => { "rows" => [{ "meta.tags[0]" => "a", "meta.none" => "(empty)" }] },
      [] => { "rows" => [] } }.each do |value, tables|
      assert_equal tables, Once::Snapshot.new(value).tables
    end
  end

  # The suite's clock stands still while a crash costs seconds, and the clock of SQL goes on.
  def test_readings_of_the_clock_of_a_run_that_takes_long
    started = Time.utc(2030, 1, 1)
    check = Once::Check.allocate
    check.instance_variable_set(:@started, started.to_i * 1_000_000)
    spans = check.send(:spans, 7_000_000, 13_000_000) # six seconds
    rows = Once::Snapshot.new({ "charges" => [{ at: started + 6, later: started + 9 }] }, spans).rows
    assert_equal [Once::Snapshot::CLOCK, started + 9], rows.first.last.values
  end

  def test_readings_of_the_clock
    now = Time.utc(2030, 1, 1)
    span = [now..(now + 60)]
    rows = Once::Snapshot.new([{ a: now + 30, b: "2030-01-01 00:00:30.5", c: "2030-01-01T00:00:30Z", d: now + 3600, e: "2030-01-01", f: (now + 3).to_datetime }], span).rows
    assert_equal %w[a b c f], rows.first.last.select { |_, value| value == Once::Snapshot::CLOCK }.keys
  end
end

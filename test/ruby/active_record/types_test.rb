# frozen_string_literal: true

require "bigdecimal"
require "ipaddr"

# Every type goes in and out as it does with ActiveRecord's own adapter.
class TypesTest < Suite::Case
  UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
  MOMENT = Time.utc(2026, 3, 29, 1, 30, 15, 123_456)

  VALUES = {
    a_string: ["", "plain", "ümlaut ☃ 𝄞", "quote ' \" \\ back", "line\nbreak\ttab", "x" * 70_000, nil],
    a_text: ["", "long " * 20_000, "$1 ? :name", nil],
    a_integer: [0, 1, -1, 2**31 - 1, -2**31, "42", nil],
    a_bigint: [0, 2**63 - 1, -2**63, "9007199254740993", nil],
    a_smallint: [0, 32_767, -32_768, nil],
    a_float: [0.0, 0.1, -1.5e300, 5e-324, Float::INFINITY, -Float::INFINITY, 1 / 3r, nil],
    a_decimal: [BigDecimal("0"), BigDecimal("123456789012345678901234567890.123456789"), 12, "1.10", nil],
    a_numeric: [BigDecimal("12345678901234567890.0123456789"), BigDecimal("-0.0000000001"), 3, nil],
    a_boolean: [true, false, "t", "0", nil],
    a_date: [Date.new(2026, 2, 28), Date.new(1, 1, 1), Date.new(9999, 12, 31), "2024-02-29", Float::INFINITY, nil],
    a_time: [Time.utc(2000, 1, 1, 23, 59, 59), "12:34:56.789", nil],
    a_datetime: [MOMENT, Time.utc(1, 1, 1), Time.utc(9999, 12, 31, 23, 59, 59), "2026-01-02 03:04:05.678901",
                 Float::INFINITY, -Float::INFINITY, nil],
    a_timestamptz: [MOMENT, MOMENT.getlocal("+05:30"), "2026-01-02 03:04:05+09", Float::INFINITY, nil],
    a_binary: ["", "\x00\xFF\x01\\'\"".b, (0..255).map(&:chr).join.b * 300, nil],
    a_json: [{ "a" => [1, 2.5, nil, true, { "b" => "ü" }] }, [], "text", 12, nil],
    a_jsonb: [{ "a" => [1, 2.5, nil, true, { "b" => "ü" }] }, [], [{}], "text", 1.5, false, nil],
    a_uuid: [UUID, UUID.upcase, "{#{UUID}}", "no uuid", nil],
    a_inet: [IPAddr.new("192.168.1.0/24"), "10.0.0.1", "2001:db8::1", nil],
    a_cidr: ["192.168.0.0/16", IPAddr.new("2001:db8::/32"), nil],
    a_macaddr: ["08:00:2b:01:02:03", "08-00-2b-01-02-03", nil],
    a_bit: ["1", "0", nil],
    a_bit_varying: ["101101", "", nil],
    a_hstore: [{ "a" => "1", "b" => nil, "c \"d\"" => "x=>y, \\z" }, {}, nil],
    a_citext: %w[MiXed mixed],
    a_xml: ["<a><b>x</b></a>", nil],
    a_money: [BigDecimal("1234.56"), -5, nil],
    a_interval: [3.days + 4.hours, 1.year + 2.months, "PT30M", 90.seconds, nil],
    a_point: [ActiveRecord::Point.new(1.5, -2), [3, 4], "(5,6)", nil],
    a_int4range: [1..5, 1...5, (3..), nil],
    a_int8range: [1...2**40, nil],
    a_numrange: [BigDecimal("0.5")..BigDecimal("2.5"), nil],
    a_daterange: [Date.new(2026, 1, 1)..Date.new(2026, 1, 31), Date.new(2026, 1, 1)...Date.new(2026, 1, 2), nil],
    a_tsrange: [MOMENT..(MOMENT + 3600), nil],
    a_tstzrange: [MOMENT...(MOMENT + 3600), nil],
    a_tsvector: ["'a':1 'fat':2", nil],
    a_line: ["{2,3,5.5}", nil], a_lseg: ["[(2,3),(5.5,7)]", nil], a_box: ["(5.5,7),(2,3)", nil],
    a_path: ["[(2,3),(5.5,7)]", "((2,3),(5.5,7))", nil], a_polygon: ["((2,3),(5.5,7),(8.5,11))", nil],
    a_circle: ["<(5.3,10.4),2>", nil],
    a_mood: ["sad", "happy", nil],
    many_integers: [[1, 2, nil, -3], [], [[1, 2], [3, 4]], nil],
    many_strings: [["a", "b,c", "d\"e", "{f}", "NULL", nil, "", "ü\\"], [], [%w[a b], %w[c d]]],
    many_decimals: [[BigDecimal("1.50"), BigDecimal("-2")], nil],
    many_times: [[MOMENT, nil], nil],
    many_jsons: [[{ "a" => 1 }, { "b" => [2, "c\"d"] }, nil], nil],
    many_uuids: [[UUID], nil]
  }.freeze

  VALUES.each do |column, values|
    define_method("test_#{column}") do
      values.each { |value| assert_same { |m| round_trip(m, column, value) } }
    end
  end

  def test_every_column_is_tested
    assert_empty Ours::Sample.column_names - VALUES.keys.map(&:to_s) - %w[id]
  end

  def test_values_the_server_refuses
    { a_mood: "furious", a_inet: nil, a_xml: "<a>", a_int4range: 5..1 }.compact.each do |column, value|
      error = assert_same do |m|
        begin
          m::Base.transaction(requires_new: true) { m::Sample.create!(column => value) }
        rescue ActiveRecord::StatementInvalid => e
          [e.class, e.cause.class, e.message.lines.first]
        end
      end
      assert_equal ActiveRecord::StatementInvalid, error.first
    end
  end

  def test_numbers_out_of_range_are_refused_here
    assert_same do |m|
      [[:a_integer, 2**31], [:a_bigint, 2**63], [:a_smallint, 2**15]].map do |column, value|
        assert_raises(ActiveModel::RangeError) { m::Sample.create!(column => value) }.message
      end
    end
  end

  def test_infinite_and_missing_numbers
    assert_same do |m|
      m::Base.connection.select_rows("SELECT 'NaN'::numeric, 'NaN'::float8, 'Infinity'::float8, NULL::int, 1e400::numeric").first.map(&:to_s)
    end
  end

  def test_unprepared_statements_cast_the_same
    VALUES.slice(:a_text, :a_decimal, :a_binary, :a_jsonb, :a_hstore, :many_strings, :a_tsrange, :a_datetime).each do |column, values|
      values.each do |value|
        assert_same { |m| m::Base.connection.unprepared_statement { round_trip(m, column, value) } }
      end
    end
  end

  def test_times_follow_the_zone_of_the_application
    Time.use_zone("America/New_York") do
      assert_same do |m|
        old, m::Sample.time_zone_aware_attributes = m::Sample.time_zone_aware_attributes, true
        m::Sample.reset_column_information
        s = m::Sample.create!(a_datetime: "2026-07-01 12:00", a_timestamptz: "2026-12-01 12:00")
        r = m::Sample.find(s.id)
        [r.a_datetime.to_s, r.a_timestamptz.to_s, raw(m, s, "a_datetime"), raw(m, s, "a_timestamptz")]
      ensure
        m::Sample.time_zone_aware_attributes = old
        m::Sample.reset_column_information
      end
    end
  end

  def test_default_timezone_local
    assert_same do |m|
      zone, ENV["TZ"] = ENV["TZ"], "Asia/Kolkata"
      timezones.default_timezone = :local
      s = m::Sample.create!(a_datetime: MOMENT)
      [m::Sample.find(s.id).a_datetime, m::Sample.find(s.id).a_datetime.utc_offset]
    ensure
      timezones.default_timezone = :utc
      ENV["TZ"] = zone
    end
  end

  # Models may name the types of the database.
  def test_types_by_name
    assert_same do |m|
      model = Class.new(m::Base) do
        self.table_name = "samples"
        define_singleton_method(:name) { "Sample" }
        attribute :a_interval, :interval
        attribute :a_jsonb, :jsonb
        attribute :a_point, :point
        attribute :many_strings, :string, array: true
        attribute :a_int4range, :integer, range: true
      end
      values = { a_interval: 3.days, a_jsonb: { "a" => [1] }, a_point: [1, 2.5], many_strings: ["a,b", nil], a_int4range: 1...5 }
      found = model.find(model.create!(values).id)
      values.keys.map { |column| [model.attribute_types[column.to_s].class.name, told(found[column])] }
    end
  end

  def test_columns_without_a_model
    assert_same do |m|
      m::Base.connection.select_all(<<~SQL).cast_values.inspect
        SELECT 1::int2, 2::int4, 3::int8, 1.5::float4, 2.25::float8, 3.125::numeric, true, 'x'::text, 'y'::varchar,
               '2026-01-02'::date, '2026-01-02 03:04:05.6'::timestamp, '2026-01-02 03:04:05+02'::timestamptz,
               '\\x00ff'::bytea, '{"a":1}'::jsonb, '{1,2}'::int[], '[1,3)'::int4range, '1 day'::interval,
               '#{UUID}'::uuid, 'a=>1'::hstore, NULL, ROW(1,'a'), 'happy'::mood, 12::money, '(1,2)'::point
      SQL
    end
  end

  def test_attributes_of_queries
    assert_same do |m|
      m::Sample.create!(a_integer: 3, a_numeric: 2, a_datetime: MOMENT)
      s = m::Sample.select("a_integer * 2 AS twice, a_numeric / 3 AS third, a_datetime::date AS day, now() > a_datetime AS past, a_integer || 'x' AS text").first
      [s.twice, s.third, s.day, s.past, s.text].inspect
    end
  end

  private

  # The model's value before and after it is stored, the value in the table, and
  # whether a query by the value finds the row.
  def round_trip(models, column, value)
    stored = models::Sample.create!(column => value)
    read = models::Sample.find(stored.id)
    found = searchable?(column) && models::Sample.where(column => value).exists?(id: stored.id)
    [told(stored[column]), told(read[column]), raw(models, stored, column), read.changed?, found,
     told(models::Sample.where(id: stored.id).pluck(column).first)]
  end

  def timezones
    ActiveRecord.respond_to?(:default_timezone=) ? ActiveRecord : ActiveRecord::Base
  end

  def searchable?(column)
    !%i[a_json a_xml a_point a_line a_lseg a_box a_path a_polygon a_circle many_jsons a_int4range a_int8range a_numrange
        a_daterange a_tsrange a_tstzrange many_integers many_strings many_decimals many_times many_uuids a_date
        a_datetime].include?(column)
  end

  def told(value)
    text = value.is_a?(Range) ? [value.begin, value.end, value.exclude_end?].inspect : value.inspect
    [value.class.name, text, value.is_a?(String) ? value.encoding.name : nil]
  end

  def raw(models, record, column)
    models::Base.connection.select_value("SELECT #{column}::text FROM samples WHERE id = #{record.id}")
  end
end

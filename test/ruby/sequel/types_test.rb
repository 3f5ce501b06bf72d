# frozen_string_literal: true

module SequelSuite
  # Values on their way in and out.
  class TypesTest < Case
    # Each value is written into a column of the type, as a literal and as a
    # parameter, and read back.
    def round_trip(type, *values)
      same do |database|
        database.create_table(:samples) { primary_key :id; column :v, type }
        database[:samples].prepare(:insert, :put_sample, v: :$v)
        values.flat_map do |value|
          id = database[:samples].insert(v: value)
          bound = database[:samples].call(:insert, { v: value }, v: :$v)
          [database[:samples].where(id: id).get(:v), database[:samples].where(id: bound).get(:v)]
        end
      end
    end

    def test_integers
      round_trip(:integer, 0, -1, 2**31 - 1, nil)
      round_trip(:bigint, 2**62, -2**63)
      round_trip(:smallint, 5)
    end

    def test_floats_and_numerics
      round_trip(Float, 0.1, -1.5e300, 1e-7, Float::INFINITY)
      round_trip("numeric(30,10)", BigDecimal("12345678901234567890.1234567891"), 1, 2.5)
      round_trip(BigDecimal, BigDecimal("0.000000000000000001"))
      nan = same { |database| database.get(Sequel.cast("NaN", Float)).nan? }
      assert nan
    end

    def test_strings
      round_trip(String, "it's", "back\\slash", "", "ünï \u{1F600}", "a\nb\tc", "$1 ? %s", "null", nil)
      round_trip("varchar(5)", "abc")
      round_trip("char(5)", "abc")
      round_trip(:name, "a_name")
      round_trip(:uuid, "0b7ecf0c-9a2b-4a5b-8f0e-3a1f5b2c4d6e")
      round_trip(:xml, "<a>1</a>")
    end

    def test_encodings
      same do |database|
        ["gr\xFC\xDF".dup.force_encoding("ISO-8859-1"), "plain".encode("UTF-16LE").encode("UTF-8"), "sch\u00f6n".b, :symbol.to_s.b].map do |text|
          [database.get(Sequel.cast(text, String)), database[:one].with(:one, database.select(Sequel.cast(text, String).as(:x))).get(:x)]
        end
      end
    end

    def test_blobs
      all = (0..255).to_a.pack("C*")
      round_trip(:bytea, Sequel.blob(all), Sequel.blob(""), Sequel.blob("\\x00"), Sequel.blob("'"))
      blob = same { |database| database.get(Sequel.cast(Sequel.blob(all), :bytea)) }
      assert_instance_of Sequel::SQL::Blob, blob
      assert_equal all, blob
    end

    def test_booleans
      round_trip(TrueClass, true, false, nil)
    end

    def test_dates_and_times
      round_trip(Date, Date.new(2026, 11, 23), Date.new(1, 1, 1), Date.new(9999, 12, 31))
      round_trip(:timestamp, Time.local(2026, 11, 23, 1, 2, Rational("3.123456")), DateTime.new(2026, 11, 23, 1, 2, 3))
      round_trip(:timestamptz, Time.utc(2026, 11, 23, 1, 2, 3), Time.new(2026, 7, 1, 1, 2, 3, "+05:30"))
      round_trip(:time, Sequel::SQLTime.create(1, 2, 3, 456_789))
    end

    def test_timezones
      [%i[utc utc], %i[local utc], %i[utc local]].each do |application, database_zone|
        Sequel.application_timezone, Sequel.database_timezone = application, database_zone
        round_trip(:timestamp, Time.utc(2026, 7, 23, 1, 2, 3))
        round_trip(:timestamptz, Time.utc(2026, 1, 23, 1, 2, 3))
      end
    ensure
      Sequel.default_timezone = nil
    end

    def test_dates_beyond_what_ruby_has
      assert_raises(Sequel::InvalidValue) { db.get(Sequel.cast("infinity", :timestamp)) }
      extended = Sequel.connect("tasker:///", keep_reference: false)
      extended.extension(:pg_extended_date_support)
      extended.convert_infinite_timestamps = :float
      assert_equal Float::INFINITY, extended.get(Sequel.cast("infinity", :timestamp))
      assert_equal Date.new(-43, 3, 15), extended.get(Sequel.cast("0044-03-15 BC", :date))
    ensure
      extended&.disconnect
    end

    def test_arrays
      round_trip("integer[]", Sequel.pg_array([1, nil, -3]), Sequel.pg_array([], :integer))
      round_trip("text[]", Sequel.pg_array(["a,b", "\"q\"", "back\\slash", "", "NULL", nil, "ünï {x}"], :text))
      round_trip("integer[]", Sequel.pg_array([[1, 2], [3, 4]], :integer))
      round_trip("timestamp[]", Sequel.pg_array([Time.local(2026, 1, 2)], :timestamp))
      round_trip("numeric[]", Sequel.pg_array([BigDecimal("1.5")], :numeric))
      round_trip("boolean[]", Sequel.pg_array([true, false, nil], :boolean))
      round_trip("bytea[]", Sequel.pg_array([Sequel.blob("\0\xFF".b)], :bytea))
      same { |database| database.from(Sequel.pg_array([1, 2]).op.unnest.as(:n)).select_map(:n) }
    end

    def test_json
      values = [{ "a" => [1, nil, { "b" => 1.5 }] }, [1, "two", nil], {}]
      round_trip(:json, *values.map { |v| Sequel.pg_json(v) })
      round_trip(:jsonb, *values.map { |v| Sequel.pg_jsonb(v) })
      same do |database|
        j = Sequel.pg_jsonb_op(Sequel.cast('{"a": {"b": [1, 2]}}', :jsonb))
        [database.get(j[%w[a b]]), database.get(j.get_text("a")), database.get(j.contains("a" => {})), database.get(j.has_key?("z"))]
      end
    end

    def test_ranges
      round_trip(:int4range, Sequel.pg_range(1..5), Sequel.pg_range(1...5), Sequel.pg_range(Sequel::Postgres::PGRange.empty("int4range")))
      round_trip(:daterange, Sequel.pg_range(Date.new(2026, 1, 1)..Date.new(2026, 2, 1)))
      round_trip(:tsrange, Sequel.pg_range(Time.local(2026)..nil))
      round_trip(:int4multirange, Sequel.pg_multirange([1..2, 5..6], :int4multirange))
      same { |database| database.get(Sequel.pg_range(1..5, :int4range).op.contains(3)) }
    end

    def test_enums
      round_trip(:mood, "sad", "happy")
      same do |database|
        database.create_table(:samples) { column :v, :mood, default: "ok" }
        [database.schema(:samples)[0][1][:enum_values], database.schema(:samples)[0][1][:type], (database[:samples].insert(v: "none") rescue $!.class)]
      end
    end

    def test_intervals
      require "active_support/duration"
      same { |database| %w[1\ day 2\ hours -3\ mons 1\ year\ 02:03:04.5].map { |i| database.get(Sequel.cast(i, :interval)).parts } }
      round_trip(:interval, ActiveSupport::Duration.new(90, [[:minutes, 1], [:seconds, 30]]))
    end

    def test_hstore
      round_trip(:hstore, Sequel.hstore("a" => "1", "b" => nil, "q\"" => "it's, =>"), Sequel.hstore({}))
    end

    def test_rows
      SequelSuite.ours.register_row_type(:place)
      SequelSuite.theirs.register_row_type(:place)
      round_trip(:place, Sequel.pg_row(["High Street", 5]))
      same { |database| database.get(Sequel.cast(Sequel.pg_row([1, "x"]), :record)) }
    end

    def test_networks
      round_trip(:inet, IPAddr.new("10.0.0.1"), IPAddr.new("::1"))
      round_trip(:cidr, IPAddr.new("10.0.0.0/8"))
      round_trip(:macaddr, "08:00:2b:01:02:03")
    end

    def test_other_types
      round_trip(:money, BigDecimal("1.50"))
      round_trip("bit(3)", "101")
      round_trip(:tsvector, "'a' 'b'")
      round_trip(:oid, 5)
      same { |database| database.get(Sequel.lit("ROW(1, 'x')")).class }
      same { |database| database["SELECT '(1,2)'::point AS p, '1 2'::int2vector AS v, 'x'::\"char\" AS c, NULL AS n, void_send(NULL) AS w"].first }
    end

    def test_typecasting_by_the_schema
      same do |database|
        database.create_table(:samples) { Integer :i; Date :d; Time :t; TrueClass :b; BigDecimal :n; File :f; column :l, "integer[]"; column :j, :jsonb }
        %i[i d t b n f].map { |c| database.typecast_value(database.schema(:samples).assoc(c)[1][:type], { i: "5", d: "2026-01-02", t: "2026-01-02 03:04", b: "t", n: "1.5", f: "x" }[c]) }
      end
    end
  end
end

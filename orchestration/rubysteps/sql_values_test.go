package rubysteps_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Every value that is written comes back the same, through a table with columns of
// every type.
func TestValuesThroughTaskerDb(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "Values", `
		require "bigdecimal"
		db = Tasker.db
		db.exec("CREATE TEMP TABLE v (v_int int, v_big bigint, v_num numeric, v_float float8, v_bool bool, v_text text, v_bytea bytea,
			v_date date, v_ts timestamp, v_tz timestamptz, v_json json, v_jsonb jsonb, v_ints int[], v_texts text[], v_nested int[][], v_jlist jsonb, v_uuid uuid, v_null int) ON COMMIT DROP")
		values = {
			v_int: 7, v_big: 2**62, v_num: BigDecimal("12345678901234567890.123456789"), v_float: 0.1, v_bool: true,
			v_text: "it's \u{1F600} \\", v_bytea: "\x00\xff\\x".b, v_date: Date.new(2026, 11, 23),
			v_ts: Time.utc(2026, 11, 23, 1, 2, Rational("3.123456")), v_tz: Time.new(2026, 11, 23, 1, 2, Rational("3.5"), "+05:30"),
			v_json: { "a" => [1, nil] }, v_jsonb: { "b" => { "c" => 1.5 } }, v_ints: [1, nil, -3],
			v_texts: ["a,b", "\"q\"", "back\\slash", "", "NULL", nil, "ünï {x}"], v_nested: [[1, 2], [3, 4]], v_jlist: [1, "two", { "three" => 3 }],
			v_uuid: "0b7ecf0c-9a2b-4a5b-8f0e-3a1f5b2c4d6e", v_null: nil
		}
		names = values.keys
		db.exec("INSERT INTO v (#{names.join(", ")}) VALUES (#{(1..names.size).map { |i| "$#{i}" }.join(", ")})", values.values)
		2.times { db.exec("SELECT * FROM v WHERE v_int = $1", [7]) }
		row = db.first("SELECT * FROM v WHERE v_int = $1", [7])
		values.map { |name, value| [name.to_s, value, row[name.to_s]] }.reject { |_, a, b| a == b && a.class == b.class && (!a.is_a?(String) || a.encoding == b.encoding) }.map(&:inspect)`, "")
	require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
	require.JSONEq(t, `[]`, string(s.Results()))

	s = d.step(t, "OddValues", `
		db = Tasker.db
		[db.first("SELECT 'NaN'::float8 AS a")["a"].nan?, db.first("SELECT 'infinity'::timestamptz AS a")["a"], db.first("SELECT '0044-03-15 BC'::date AS a")["a"],
		 db.first("SELECT '-Infinity'::float8 AS a")["a"] == -Float::INFINITY, db.first("SELECT '[2:3]={1,2}'::int[] AS a")["a"],
		 db.first("SELECT $1::text AS a", [:sym])["a"], db.exec("SELECT 1 AS a WHERE false").affected, db.exec("SELECT 1 AS a").columns,
		 db.first("SELECT $1::float8 AS a", [Float::INFINITY])["a"] == Float::INFINITY, db.exec("SELECT 1; SELECT 2 AS b").to_a,
		 (db.exec("SELECT $1::text", [Object.new]) rescue $!.class.name), db.first("SELECT '{}'::text[] AS a")["a"], db.affected("SELECT 1")]`, "")
	require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
	require.JSONEq(t, `[true,"infinity","0044-03-15 BC",true,[1,2],"sym",0,["a"],true,[{"b":2}],"ArgumentError",[],1]`, string(s.Results()))
}

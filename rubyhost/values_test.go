package rubyhost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Each row is a row of the table of values in docs/rubyhost.md.
func TestValuesToJSON(t *testing.T) {
	for _, c := range []struct{ name, ruby, json string }{
		{"nil", "nil", "null"},
		{"true", "true", "true"},
		{"false", "false", "false"},
		{"zero", "0", "0"},
		{"negative", "-1", "-1"},
		{"largest fixnum", "2**62 - 1", "4611686018427387903"},
		{"smallest fixnum", "-(2**62)", "-4611686018427387904"},
		{"smallest bignum", "2**62", "4611686018427387904"},
		{"big integer", "2**200", new(big.Int).Lsh(big.NewInt(1), 200).String()},
		{"big negative", "-(2**200)", "-" + new(big.Int).Lsh(big.NewInt(1), 200).String()},
		{"float", "1.5", "1.5"},
		{"float to the last bit", "0.1 + 0.2", "0.30000000000000004"},
		{"smallest float", "5e-324", "5.0e-324"},
		{"largest float", "Float::MAX", "1.7976931348623157e+308"},
		{"negative zero", "-0.0", "-0.0"},
		{"float with no fraction", "1e20", "1.0e+20"},
		{"string", `"plain"`, `"plain"`},
		{"empty string", `""`, `""`},
		{"quotes", `"a\"b\\c/d"`, `"a\"b\\c/d"`},
		{"control characters", `"\n\r\t\b\f\e\x01\x7f"`, "\"\\n\\r\\t\\u0008\\u000c\\u001b\\u0001\x7f\""},
		{"unicode", `"héllo \u{1F600} \u2028"`, "\"héllo \U0001F600 \u2028\""},
		{"ISO-8859-1", `"caf\xE9".dup.force_encoding("ISO-8859-1")`, `"café"`},
		{"UTF-16", `"wide".encode("UTF-16LE")`, `"wide"`},
		{"Shift_JIS", `"\u65E5".encode("Shift_JIS")`, `"日"`},
		{"bytes that are UTF-8", `"caf\u00e9".b`, `"café"`},
		{"frozen", `"x".freeze`, `"x"`},
		{"string subclass", `Class.new(String).new("sub")`, `"sub"`},
		{"symbol", ":sym", `"sym"`},
		{"dynamic symbol", `:"with space"`, `"with space"`},
		{"array", `[1, [2, []], nil]`, `[1,[2,[]],null]`},
		{"array subclass", `Class.new(Array).new([1])`, `[1]`},
		{"hash", `{"a" => 1, "b" => {"c" => []}}`, `{"a":1,"b":{"c":[]}}`},
		{"symbol keys", `{a: 1, b: 2}`, `{"a":1,"b":2}`},
		{"integer keys", `{1 => "a", 2 => "b"}`, `{"1":"a","2":"b"}`},
		{"nil key", `{nil => 1}`, `{"":1}`},
		{"float key", `{1.5 => 1}`, `{"1.5":1}`},
		{"mixed keys", `{"a" => 1, b: 2, 3 => 4}`, `{"a":1,"b":2,"3":4}`},
		{"hash with a default", `Hash.new { |h, k| raise "no" }.merge(a: 1)`, `{"a":1}`},
		{"compared by identity", `{}.compare_by_identity.tap { |h| h["a"] = 1 }`, `{"a":1}`},
		{"bigdecimal", `require "bigdecimal"; BigDecimal("19.990")`, `"19.99"`},
		{"bigdecimal, exact", `require "bigdecimal"; BigDecimal("1e-30") + 1`, `"1.000000000000000000000000000001"`},
		{"rational", "1/3r", `"1/3"`},
		{"complex", "Complex(1, 2)", `"1+2i"`},
		{"time in UTC", "Time.utc(2026, 11, 23, 4, 5, 6)", `"2026-11-23T04:05:06Z"`},
		{"time with a fraction", "Time.utc(2026, 11, 23, 4, 5, 6.5r)", `"2026-11-23T04:05:06.5Z"`},
		{"time to the nanosecond", "Time.at(0, 123456789, :nsec).utc", `"1970-01-01T00:00:00.123456789Z"`},
		{"time with a zone", `Time.new(2026, 11, 23, 4, 5, 6, "+02:00")`, `"2026-11-23T04:05:06+02:00"`},
		{"date", `require "date"; Date.new(2026, 11, 23)`, `"2026-11-23"`},
		{"datetime", `require "date"; DateTime.new(2026, 11, 23, 4, 5, 6)`, `"2026-11-23T04:05:06+00:00"`},
		{"set", `require "set"; Set[1, 2]`, `[1,2]`},
		{"range with to_h no", `(1..3).to_a`, `[1,2,3]`},
		{"struct", `Struct.new(:a, :b).new(1, "x")`, `{"a":1,"b":"x"}`},
		{"openstruct", `require "ostruct"; OpenStruct.new(a: 1)`, `{"a":1}`},
		{"as_json", `Class.new { def as_json(*) = {"z" => 1} }.new`, `{"z":1}`},
		{"to_h", `Class.new { def to_h = {q: 1} }.new`, `{"q":1}`},
		{"to_json", `Class.new { def to_json(*) = '{"w":2}' }.new`, `{"w":2}`},
		{"an alias", `Class.new(Class.new { def z(*) = {"z" => 1} }) { alias_method :as_json, :z }.new`, `{"z":1}`},
		{"a singleton method", `o = Object.new; def o.as_json(*) = {"z" => 1}; o`, `{"z":1}`},
		{"delegators", `require "delegate"; [[1], {a: 2}, :b, nil, Time.utc(2026), SimpleDelegator.new(3r)].map { |v| SimpleDelegator.new(v) }`,
			`[[1],{"a":2},"b",null,"2026-01-01T00:00:00Z","3/1"]`},
		{"a proxy", `Class.new(BasicObject) { def respond_to_missing?(*) = true; def method_missing(name, ...) = (@of ||= ::Class.new { def as_json(*) = {"z" => 1} }.new).__send__(name, ...) }.new`, `{"z":1}`},
		{"exception", `RuntimeError.new("m")`, `{"class":"RuntimeError","message":"m"}`},
		{"nested objects", `[Struct.new(:t).new(Time.utc(2026))]`, `[{"t":"2026-01-01T00:00:00Z"}]`},
		{"the same object twice", `a = [1]; [a, a]`, `[[1],[1]]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := eval(t, c.ruby)
			require.Equal(t, c.json, out)
			require.True(t, json.Valid([]byte(out)))
		})
	}
}

// What JSON cannot hold is an error that says where it is.
func TestValuesThatCannotBe(t *testing.T) {
	for _, c := range []struct{ name, ruby, place, text string }{
		{"NaN", `{items: [{}, {}, {}, {price: Float::NAN}]}`, "results.items[3].price", "NaN"},
		{"infinity", `[Float::INFINITY]`, "results[0]", "Infinity"},
		{"BigDecimal NaN", `require "bigdecimal"; [BigDecimal("NaN")]`, "results[0]", "BigDecimal"},
		{"invalid UTF-8", `{"name" => "\xFF\xFE"}`, "results.name", "UTF-8"},
		{"bytes", `{"blob" => "\xFF".b}`, "results.blob", "ASCII-8BIT"},
		{"NUL", `{"a b" => "x\0y"}`, `results["a b"]`, "NUL"},
		{"NUL in a key", `{"x\0y" => 1}`, "results", "NUL"},
		{"duplicate keys", `{"a" => {"k" => 1, k: 2}}`, "results.a.k", "same"},
		{"duplicate integer keys", `{1 => 1, "1" => 2}`, `results["1"]`, "same"},
		{"cycle", `a = []; a << a; a`, "results[0]", "contains itself"},
		{"cycle of hashes", `h = {}; h["x"] = {"y" => h}; h`, "results.x.y", "contains itself"},
		{"depth", `a = []; 10_000.times { a = [a] }; a`, "results[0]", "1000 levels"},
		{"cycle through to_h", `Class.new { def to_h = {me: self} }.new`, "results.me", "1000 levels"},
		{"a key without String form", `k = Object.new; def k.to_s = 5; {a: {k => 1}}`, "results.a", "no String form"},
		{"a Float whose to_s is no number", `Float.prepend(Module.new { def to_s = self == 1234.5678 ? "1,5" : super }); {p: [1234.5678]}`, "results.p[0]", "to_s is no number"},
		{"object", `{x: Object.new}`, "results.x", "no JSON form"},
		{"a delegator of an object", `require "delegate"; {x: Class.new(SimpleDelegator).new(Object.new)}`, "results.x", "no JSON form"},
		{"class", `[String]`, "results[0]", "no JSON form"},
		{"proc", `[proc { }]`, "results[0]", "no JSON form"},
		{"io", `[STDIN]`, "results[0]", "no JSON form"},
		{"to_h of another kind", `[Class.new { def to_h = 5.0.to_c }.new]`, "results[0]", "no JSON form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := host.Eval(t.Context(), c.ruby, "test.rb")
			var ruby *rubyhost.Error
			require.ErrorAs(t, err, &ruby)
			require.Equal(t, "Tasker::UnrepresentableError", ruby.Class)
			require.True(t, ruby.Permanent)
			require.Equal(t, "UNREPRESENTABLE_RESULT", ruby.ErrorCode)
			require.Contains(t, ruby.Message, c.text)
			require.True(t, strings.HasPrefix(ruby.Message, c.place), ruby.Message)
			var where struct{ Path string }
			require.NoError(t, json.Unmarshal(ruby.Context, &where))
			require.True(t, strings.HasPrefix(where.Path, c.place), where.Path)
		})
	}
	requireHealthy(t)
}

func TestValuesOfSize(t *testing.T) {
	t.Run("30 MB string", func(t *testing.T) {
		out := eval(t, `"x" * 30_000_000`)
		require.Len(t, out, 30_000_002)
	})
	t.Run("a million elements", func(t *testing.T) {
		out := eval(t, `Array.new(1_000_000) { |i| i }`)
		var numbers []int
		require.NoError(t, json.Unmarshal([]byte(out), &numbers))
		require.Len(t, numbers, 1_000_000)
		require.Equal(t, 999_999, numbers[999_999])
	})
	t.Run("900 levels", func(t *testing.T) {
		out := eval(t, `a = []; 899.times { a = [{"a" => a}] .first.values.then { |v| v } }; a`)
		require.Equal(t, strings.Repeat("[", 900)+strings.Repeat("]", 900), out)
	})
	t.Run("900 levels of hashes on a worker", func(t *testing.T) {
		out, err := run(t, processBody(t, `h = 1; 900.times { h = {h: h} }; h`))
		require.NoError(t, err)
		require.Equal(t, strings.Repeat(`{"h":`, 900)+"1"+strings.Repeat("}", 900), out)
	})
}

// A JSON document that goes through Ruby comes back as the same document.
func TestValuesRoundTrip(t *testing.T) {
	echo, err := host.Method(t.Context(), "Kernel.Array")
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		in := jsonValue(3).Draw(rt, "value")
		out, err := echo.Call(t.Context(), []any{in})
		require.NoError(rt, err)
		want, err := json.Marshal([]any{in})
		require.NoError(rt, err)
		require.Equal(rt, canonical(rt, want), canonical(rt, out))
	})
}

// jsonValue draws any JSON value.
func jsonValue(depth int) *rapid.Generator[any] {
	text := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), 0, 12, -1)
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		text.AsAny(),
		rapid.Int64().AsAny(),
		rapid.Custom(func(t *rapid.T) any {
			n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "magnitude"))
			return json.Number(n.String())
		}),
		rapid.Float64().Filter(func(f float64) bool { return f == f && f-f == 0 }).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return jsonValue(depth - 1) })
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(inner, 0, 4).AsAny(),
		rapid.MapOfN(text, inner, 0, 4).AsAny())...)
}

// canonical brings numbers of one value to one spelling, and keys in order.
func canonical(t require.TestingT, document []byte) string {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			if n, ok := new(big.Int).SetString(v.String(), 10); ok {
				return n.String() // -0 is 0 to Ruby's parser
			}
			f, err := v.Float64()
			require.NoError(t, err)
			return fmt.Sprintf("%x", f)
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	b, err := json.Marshal(walk(v))
	require.NoError(t, err)
	return string(b)
}

// generator makes values in Ruby from a seed, each with what Ruby's own json
// writes for it.
const generator = `
	random = Random.new(SEED)
	strings = ["", "a", "é", "\u{1F600}", "\"\\/", "\n\t", "\u2028", "x" * 300]
	make = lambda do |depth|
		case random.rand(depth.zero? ? 7 : 9)
		when 0 then nil
		when 1 then random.rand(2) == 0
		when 2 then random.rand(-10..10)
		when 3 then random.rand(2**70) - 2**69
		when 4 then strings.sample(random: random) + random.rand(0x80..0xd7ff).chr("UTF-8")
		when 5 then random.rand * 10.0**random.rand(-300..300)
		when 6 then [random.bytes(8)].first.unpack1("D").then { |f| f.finite? ? f : 0.5 }
		when 7 then Array.new(random.rand(5)) { make.(depth - 1) }
		else Array.new(random.rand(5)) { |i| ["#{strings.sample(random: random)}#{i}", make.(depth - 1)] }.to_h
		end
	end
	Array.new(COUNT) { make.(4) }.map { |v| [JSON.generate([v]), [v]] }`

// requireAgreement: json.c writes what Ruby's json writes.
func requireAgreement(t *testing.T, seed int64, count int) {
	t.Helper()
	out := eval(t, strings.NewReplacer("SEED", fmt.Sprint(seed), "COUNT", fmt.Sprint(count)).Replace(generator))
	var pairs [][2]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(out), &pairs))
	require.Len(t, pairs, count)
	for _, pair := range pairs {
		var theirs string
		require.NoError(t, json.Unmarshal(pair[0], &theirs))
		require.Equal(t, canonical(t, []byte(theirs)), canonical(t, pair[1]), "seed %d", seed)
	}
}

func TestValuesAgreeWithRubysJSON(t *testing.T) { requireAgreement(t, 20261123, 5000) }

func FuzzValuesAgreeWithRubysJSON(f *testing.F) {
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, seed int64) { requireAgreement(t, seed, 50) })
}

// Whatever bytes a Ruby String holds, the answer is valid JSON or an error.
func FuzzStringToJSON(f *testing.F) {
	for _, s := range []string{"", "a", "\x00", "\xff", "é", "\"\\", "\u2028\U0001F600", "\xed\xa0\x80"} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(5))
	}
	f.Fuzz(func(t *testing.T, content []byte, encoding uint8) {
		source := fmt.Sprintf(`["%x"].pack("H*").force_encoding(%q)`, content,
			[]string{"UTF-8", "ASCII-8BIT", "US-ASCII", "ISO-8859-1", "UTF-16LE", "Shift_JIS", "EUC-JP", "Windows-1252"}[encoding%8])
		out, err := host.Eval(t.Context(), source, "fuzz.rb")
		if err != nil {
			var ruby *rubyhost.Error
			require.ErrorAs(t, err, &ruby)
			require.Equal(t, "Tasker::UnrepresentableError", ruby.Class)
			return
		}
		require.True(t, json.Valid(out), "%q", out)
		if encoding%8 < 2 {
			var s string
			require.NoError(t, json.Unmarshal(out, &s))
			require.Equal(t, string(content), s)
		}
	})
}

// Whatever document Go hands over, Ruby parses it or says that it cannot, and
// what it parsed is what Go's decoder sees.
func FuzzJSONToRuby(f *testing.F) {
	for _, s := range []string{`{}`, `[1,2.5,"x",null,true]`, `{"a":{"b":[]}}`, `1e400`, `[`, `"\ud800"`, `{"a":1,"a":2}`, "\xff", `-0`, `1.0e+2`} {
		f.Add([]byte(s))
	}
	method, err := host.Method(f.Context(), "JSON.parse")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, document []byte) {
		if !json.Valid(document) || bytes.Contains(document, []byte(`\u`)) || bytes.ContainsRune(document, 0) {
			return
		}
		out, err := method.Call(t.Context(), string(document))
		if err != nil {
			var ruby *rubyhost.Error
			require.ErrorAs(t, err, &ruby)
			return
		}
		require.True(t, json.Valid(out), "%q", out)
	})
}

func init() {
	children["values with ActiveSupport"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1})
		must(h.Require(context.Background(), "active_support/all"))
		for _, source := range []string{
			`{ client: Class.new { def initialize = @api_key = "secret" }.new }`,
			`[Class.new { def to_h = { q: 1 } }.new, Class.new { def as_json(*) = { z: 1 } }.new, Class.new { def to_json(*) = '{"w":2}' }.new, Class.new { def to_h = { h: 3 }; private def as_json(*) = raise }.new]`,
			`require "delegate"
			Model = Class.new { def as_json(*) = { z: 1 } }
			own = DelegateClass(Model)
			[SimpleDelegator.new(Model.new), own.new(Model.new), Class.new(own) { def as_json(*) = super.merge(y: 2) }.new(Model.new), Class.new(own) { def to_h = { h: 3 } }.new(Model.new),
				SimpleDelegator.new(Class.new { def to_h = { q: 1 } }.new), SimpleDelegator.new(Class.new { def to_json(*) = '{"w":2}' }.new),
				Class.new { include Enumerable; def each = yield(Model.new) }.new]`,
			`{ date: Date.new(2026, 11, 23), time: Time.utc(2026), wait: 5.minutes, range: (1..3), symbol: :a, struct: Struct.new(:a).new(1) }`,
		} {
			out, err := h.Eval(context.Background(), source, "values.rb")
			fmt.Println(string(out), err)
		}
		_, err := h.Eval(context.Background(), `User = Class.new { def initialize = @password = "secret" }
			Proxy = Class.new(BasicObject) { def initialize = @user = ::User.new; def respond_to_missing?(name, all) = @user.respond_to?(name, all); def method_missing(...) = @user.__send__(...) }
			nil`, "user.rb")
		must(err)
		for _, source := range holdersOfSecrets {
			out, err := h.Eval(context.Background(), source, "user.rb")
			fmt.Println(string(out), err)
		}
		must(h.Close())
	}
}

// holdersOfSecrets wrap an object of which nothing may be stored.
var holdersOfSecrets = []string{
	"{ u: Class.new(SimpleDelegator).new(User.new) }",
	"Class.new(DelegateClass(User)).new(User.new)",
	"SimpleDelegator.new(SimpleDelegator.new(User.new))",
	"SimpleDelegator.new(User.new).tap { |extended| def extended.name = 1 }",
	"SimpleDelegator.new([User.new])",
	"SimpleDelegator.new({ u: User.new })",
	"SimpleDelegator.new(Struct.new(:u).new(User.new))",
	"Proxy.new",
	"Class.new { include Enumerable; def each = yield(User.new) }.new",
	"defined?(Data.define) ? Data.define(:u).new(User.new) : User.new",
}

// ActiveSupport gives every object an as_json and a to_json, which would store an object's
// secrets.
func TestValuesWithActiveSupport(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "values with ActiveSupport")
	require.NoError(t, err, out)
	lines := strings.Split(out, "\n")
	require.NotContains(t, out, "secret")
	require.Contains(t, lines[0], "results.client is an object that has no JSON form")
	require.Equal(t, `[{"q":1},{"z":1},{"w":2},{"h":3}] <nil>`, lines[1])
	require.Equal(t, `[{"z":1},{"z":1},{"z":1,"y":2},{"h":3},{"q":1},{"w":2},[{"z":1}]] <nil>`, lines[2])
	require.Equal(t, `{"date":"2026-11-23","time":"2026-01-01T00:00:00Z","wait":300,"range":"1..3","symbol":"a","struct":{"a":1}} <nil>`, lines[3])
	for i, source := range holdersOfSecrets {
		require.Contains(t, lines[4+i], "no JSON form", source)
	}
}

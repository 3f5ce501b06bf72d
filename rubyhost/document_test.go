package rubyhost_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// C reads a document exactly as JSON.parse does: the same values,
// classes, encodings, order and frozen keys, to the last bit of a float, or
// the same error. Says "same", or what differs.
const compareDocuments = `
	segments = sequence.instance_variable_get(:@segments)
	outcome = ->(&read) { [:value, read.call] rescue [:error, [$!.class, $!.message]] }
	alike = lambda do |a, b, inner|
		next false unless a.class == b.class
		case a
		when Hash
			inner.concat(a.to_a.flatten(1).zip(b.to_a.flatten(1)))
			a.size == b.size && a.each_key.all?(&:frozen?) && a.default.nil? && !a.frozen?
		when Array
			inner.concat(a.zip(b))
			a.size == b.size && !a.frozen?
		when String then a == b && a.encoding == b.encoding && a.frozen? == b.frozen? && a.valid_encoding? == b.valid_encoding?
		when Float then [a].pack("G") == [b].pack("G")
		else a == b
		end
	end
	same = lambda do |a, b|
		pairs = [[a, b]] # a thread's stack may be too small to go down into a document
		while (pair = pairs.pop)
			break false unless alike.(*pair, pairs)
		end != false
	end
	text = segments[7]
	pairs = [[outcome.() { segments.read(7) }, outcome.() { Tasker::Document.parse(text) }],
		[outcome.() { segments.read_indifferent(7) }, outcome.() { Tasker::Document.parse_indifferent(text) }]]
	(pairs.find { |ours, theirs| !same.(ours, theirs) } || "same").inspect`

var documentReader = sync.OnceValue(func() *rubyhost.Handler {
	_, err := host.Eval(context.Background(), "class ::DocumentReader; def process(task, sequence, step)\n"+compareDocuments+"\nend; end; nil", "document.rb")
	must(err)
	h, err := host.Handler(context.Background(), "DocumentReader")
	must(err)
	return h
})

func requireReadAlike(t require.TestingT, document string) {
	step := emptyStep()
	step.Results = []rubyhost.Result{{Step: "one", JSON: []byte(document)}}
	out, err := documentReader().Run(context.Background(), step)
	require.NoError(t, err)
	require.Equal(t, `"\"same\""`, string(out), "%q", document)
}

var documents = []string{
	``, ` `, `null`, `true`, `false`, `0`, `-0`, `-`, `01`, `-01`, `1`, `-12`, `1.`, `.5`, `1.5`, `-1.5e3`, `1E+2`, `1e`, `1e400`, `5e-324`, `-0.0`,
	`0.1`, `1.7976931348623157e308`, `123456789012345678`, `-123456789012345678`, `1234567890123456789`, `18446744073709551616`,
	`123456789012345678.5`, `0.1234567890123456789012345678901234567890123456789012345678901234567890`, `1 2`, `truex`, `nul`, `NaN`, `Infinity`, `-Infinity`,
	`""`, `"a"`, `"`, `"a`, `"\`, `"\"`, `"\n\t\r\b\f\/\\\""`, `"\q"`, `"\u0041"`, `"\u00e9\u20ac"`, `"\u0000"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\udc00x"`, `"\u12"`,
	"\"a\nb\"", "\"\x7f\"", "\"\xff\"", `"é€😀"`, "\ufeff{}", `[]`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[1,2`, `[[[[]]]]`, `{}`, `{ }`, `{"a":1}`,
	`{"a":1,"a":2}`, `{"a":1,"b":2,"a":3}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"":{"":""}}`, `{"\u0061":1}`, `{"a\nb":1}`,
	`{"order_id":1,"x":[{"y":{"z":[]}}]} `, "\t\r\n {\"a\" : [ 1 , 2.5 , \"s\" ] }\n", `/* c */ {}`, `{}x`, `{"a":1}}`, "\x00", "{\"a\":1}\x00", `{"json_class":"String"}`,
}

func TestDocumentsAreReadAsJSONParseDoes(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		requireReadAlike(t, document)
	}
	for _, depth := range []int{99, 100, 101, 999, 1000, 1001} {
		requireReadAlike(t, strings.Repeat("[", depth)+strings.Repeat("]", depth))
		requireReadAlike(t, strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth))
	}
	var wide strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&wide, `,"%s":%d`, strings.Repeat("k", i%70)+fmt.Sprint(i), i)
	}
	requireReadAlike(t, "{"+wide.String()[1:]+"}")
}

// documentText generates JSON in every spelling, then perhaps damages it.
func documentText() *rapid.Generator[string] {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n", " \t\r\n"})
	text := rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for _, piece := range rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "key", "\\n", "\\u0041", "\\u00df", "\\uABCD", "\\ud83d\\ude00", "\\\"", "\\\\", "/", "é", "€", "😀", " ", "\x7f", strings.Repeat("long", 8),
		}), 0, 4).Draw(t, "pieces") {
			b.WriteString(piece)
		}
		return `"` + b.String() + `"`
	})
	number := rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) string { return fmt.Sprint(n) }),
		rapid.Map(rapid.Float64(), func(f float64) string { return fmt.Sprint(f) }),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`),
	)
	plain := rapid.OneOf(text, number, rapid.SampledFrom([]string{"null", "true", "false", "{}", "[]", "[ ]"}))
	value := plain
	for range 3 {
		inner := value
		value = rapid.Custom(func(t *rapid.T) string {
			pad := func() string { return space.Draw(t, "space") }
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				return pad() + plain.Draw(t, "plain") + pad()
			case 1:
				return pad() + "[" + strings.Join(rapid.SliceOfN(inner, 0, 5).Draw(t, "items"), ",") + "]" + pad()
			default:
				var pairs []string
				for _, v := range rapid.SliceOfN(inner, 0, 5).Draw(t, "values") {
					pairs = append(pairs, pad()+text.Draw(t, "key")+pad()+":"+v)
				}
				return pad() + "{" + strings.Join(pairs, ",") + "}" + pad()
			}
		})
	}
	return rapid.Custom(func(t *rapid.T) string {
		document := []byte(value.Draw(t, "document"))
		for range rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "damages") {
			if len(document) == 0 {
				break
			}
			at := rapid.IntRange(0, len(document)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "damage") {
			case 0:
				document = append(document[:at], document[at+1:]...)
			case 1:
				document[at] = rapid.Byte().Draw(t, "byte")
			default:
				document = document[:at]
			}
		}
		return string(document)
	})
}

func TestDocumentsAreReadAsJSONParseDoesWhatever(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { requireReadAlike(t, documentText().Draw(t, "text")) })
}

func FuzzDocument(f *testing.F) {
	for _, document := range documents {
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document string) { requireReadAlike(t, document) })
}

// Ordinary documents do not go through JSON.parse; unusual ones do.
func TestOrdinaryDocumentsAreReadInC(t *testing.T) {
	h := processBody(t, `
		parsed = 0
		trace = TracePoint.new(:call) { |call| parsed += 1 if call.defined_class == Tasker::Document.singleton_class }
		trace.enable { sequence.get_results("plain"); task.context }
		before = parsed
		trace.enable { sequence.get_results("large") }
		[before, parsed]`)
	step := taskStep()
	step.Results = []rubyhost.Result{
		{Step: "plain", JSON: []byte(`{"a": [1, -2.5e3, "x\u00e9\n", {"b": null}], "c": true}`)},
		{Step: "large", JSON: []byte(`{"a": 12345678901234567890}`)},
	}
	out, err := h.Run(t.Context(), step)
	require.NoError(t, err)
	require.Equal(t, `[0,1]`, string(out))
}

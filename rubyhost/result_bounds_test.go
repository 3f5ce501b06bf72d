package rubyhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Results that no host should write. Each ends within a bound, with an error that
// names the place, while honest callers go on beside it. The value is made before:
// what Ruby itself needs for that is not the writer's.
func TestResultBounds(t *testing.T) {
	for _, c := range []struct {
		name, value string
		place       string // how the message begins
		text        string // what it names
	}{
		{"a doubled Array", "a = nil; 25.times { a = [a, a] }; { tree: a }", "results.tree", "67108864 bytes"},
		{"a String of 300 MB", "{ a: [1, 2, 3, 'x' * 300_000_000] }", "results.a[3]", "67108864 bytes"},
		{"a String that grows by its escapes", "{ a: \"\\x01\" * 12_000_000 }", "results.a", "67108864 bytes"},
		{"a String in Shift_JIS that grows", "[(\"\\xB1\" * 23_000_000).force_encoding('Shift_JIS')]", "results[0]", "67108864 bytes"},
		{"an Integer of 3,000,000 digits", "{ n: [10**3_000_000] }", "results.n[0]", "131072 digits"},
		{"a negative Integer of 131,073 digits", "{ n: -(10**131_072) }", "results.n", "131072 digits"},
		{"an Integer as a key", "{ n: { 10**3_000_000 => 1 } }", "results.n", "131072 digits"},
		{"a Rational", "[Rational(1, 10**3_000_000)]", "results[0]", "131072 digits"},
		{"a Rational as a key", "{ Rational(10**3_000_000, 7) => 1 }", "results", "131072 digits"},
		{"a Complex", "[Complex(0, Rational(10**3_000_000, 7))]", "results[0]", "131072 digits"},
		{"a BigDecimal", "require 'bigdecimal'; [BigDecimal('1e100000000')]", "results[0]", "131072 digits"},
		{"a small BigDecimal", "require 'bigdecimal'; [BigDecimal('1e-100000000')]", "results[0]", "131072 digits"},
		{"a Time", "[Time.at(10**3_000_000)]", "results[0]", "131072 digits"},
		{"an Array of nil that does not look huge", "[[nil] * 13_500_000]", "results[0][1342177", "67108864 bytes"},
		{"a huge Hash", "h = {}; v = 'a value' * 30; 400_000.times { |i| h[i.to_s] = v }; { h: h }", "results.h", "67108864 bytes"},
		{"a huge Hash of Integers", "h = {}; v = 'a value' * 30; 400_000.times { |i| h[i] = v }; { h: h }", "results.h", "67108864 bytes"},
		{"to_h that never ends", "Class.new { def to_h = { b: 'x' * 100_000, a: self.class.new } }.new", "results.a.a", "67108864 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile := returning(t, c.value)
			defer eval(t, "$value = nil; GC.start; nil")
			honest := besideHonestCalls(t, 4)
			_, err := run(t, hostile) // which has a limit of its own
			requireUnrepresentable(t, err, c.place, c.text)
			honest.requireRight(t)
		})
	}
	requireHealthy(t)
}

// returning defines a handler that returns a value which is made now.
func returning(t *testing.T, value string) *rubyhost.Handler {
	t.Helper()
	eval(t, "$value = begin; "+value+"; end; nil")
	return processBody(t, "$value")
}

// The writer can be interrupted wherever it is, in C and between two levels.
func TestResultBoundsAreInterrupted(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"a doubled Array", "a = [[]] * 100; 4.times { a = [a] * 50 }; a"},
		{"Floats", "[1.5] * 5_000_000"},
		{"a huge Hash", "h = {}; 500_000.times { |i| h[i.to_s] = nil }; [h, h, h]"},
		{"a huge Hash of Integers", "h = {}; 500_000.times { |i| h[i] = nil }; [h, h, h]"},
		{"Strings", "['x' * 1000] * 64_000"},
		{"a long String", "'é' * 10_000_000"},
		{"a long String of bytes", "('é' * 10_000_000).b"},
		{"a long String in Shift_JIS", "('日' * 5_000_000).encode('Shift_JIS')"},
		{"Integers of many digits", "[10**131_000] * 500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile := returning(t, c.value)
			defer eval(t, "$value = nil; GC.start; nil")
			honest := besideHonestCalls(t, 4)
			// A fast machine may have written it by then, and a busy one may not have begun.
			var interrupted *rubyhost.InterruptedError
			for tries, limit := 0, 30*time.Millisecond; interrupted == nil; tries++ {
				require.Less(t, tries, 50, "it is never interrupted")
				_, err := runFor(hostile, limit)
				if !errors.As(err, &interrupted) && !errors.Is(err, context.DeadlineExceeded) {
					limit = limit * 3 / 4
				}
			}
			require.False(t, interrupted.Stuck)
			honest.requireRight(t)
			t.Logf("ended %v after its limit", interrupted.After)
		})
	}
	requireHealthy(t)
}

// With a limit of 1 MiB: what just fits is a result.
var exactBounds = []struct {
	name, ruby string
	size       int // of the JSON; 0 for an error
}{
	{"a String that fits", "'x' * (2**20 - 2)", 1 << 20},
	{"a String that does not", "'x' * (2**20 - 1)", 0},
	{"an Array that fits", "['x' * (2**20 - 9), nil]", 1 << 20},
	{"an Array that does not", "['x' * (2**20 - 8), nil]", 0},
	{"a Hash that fits", "{ a: 'x' * (2**20 - 8) }", 1 << 20},
	{"a Hash that does not", "{ a: 'x' * (2**20 - 7) }", 0},
	{"short Strings that fit", "['x' * 65_536] * 15 + ['x' * 65_487]", 1 << 20},
	{"short Strings that do not", "['x' * 65_536] * 15 + ['x' * 65_488]", 0},
	{"bytes that are too long", "('x' * 2**20).b", 0},
	{"a String in UTF-16 that is too long", "('x' * 2**20).encode('UTF-16LE')", 0},
	{"a key that is too long", "{ 'x' * 2**20 => 1 }", 0},
	{"an Array of nil that looks too long", "[nil] * 600_000", 0},
	{"a Hash that looks too large", "(1..250_000).to_h { [_1, 0] }", 0},
	{"to_json that is too long", "Class.new { def to_json(*) = '[' + '1,' * 2**19 + '1]' }.new", 0},
	{"131,072 digits", "10**131_071", 131_072},
	{"131,072 digits and a sign", "-(10**131_071)", 131_073},
	{"131,073 digits", "10**131_072", 0},
	{"a BigDecimal of 131,072 digits", "BigDecimal('1e131071')", 131_072 + 4},
	{"a BigDecimal of one more", "BigDecimal('1e131072')", 0},
	{"long text in two bytes", "'é' * 100_001", 200_004},
	{"long text in Shift_JIS", "('x' + '日' * 100_001).encode('Shift_JIS')", 300_006},
	{"long text of bytes", "('é' * 100_001).b", 200_004},
	{"long text whose last character is cut", "('é' * 100_001).byteslice(0, 200_001)", 0},
	{"long text with an invalid byte", "'é' * 50_000 + %(\\xFF) + 'é' * 50_000", 0},
	{"long ASCII with a high byte", "('a' * 70_000 + %(\\xE9)).force_encoding('US-ASCII')", 0},
	{"long bytes that are no text", "('a' * 70_000 + %(\\xE9)).b", 0},
	{"long Shift_JIS that is cut", "('日' * 100_001).encode('Shift_JIS').byteslice(0, 200_001)", 0},
}

func init() {
	children["exact bounds"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1, MaxResultBytes: 1 << 20})
		must(h.Require(context.Background(), "bigdecimal"))
		for _, c := range exactBounds {
			out, err := h.Eval(context.Background(), c.ruby, "exact.rb")
			var ruby *rubyhost.Error
			unrepresentable := errors.As(err, &ruby) && ruby.Class == "Tasker::UnrepresentableError"
			fmt.Printf("%s: %d %v %v\n", c.name, len(out), err != nil && unrepresentable, err == nil && json.Valid(out))
		}
		must(h.Close())
	}
}

func TestResultBoundsAreExact(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "exact bounds")
	require.NoError(t, err, out)
	for _, c := range exactBounds {
		require.Contains(t, out, fmt.Sprintf("%s: %d %v %v\n", c.name, c.size, c.size == 0, c.size > 0))
	}
}

// An exception is reported whatever it carries: what is too large is cut, and the
// report says so.
func TestResultBoundsOfExceptions(t *testing.T) {
	eval(t, "$long = 'x' * 300_000_000; nil")
	defer eval(t, "$long = nil; GC.start; nil")
	for _, c := range []struct{ name, body, class, text string }{
		{"a message of 300 MB", "raise $long", "RuntimeError", "cut: 300000000 bytes in all"},
		{"a message that is an Array", "raise(Class.new(StandardError) { def message = [nil] * 100_000; def self.name = 'Odd' })", "", "(its message is an Array)"},
		{"an Integer in the context", "raise Tasker::PermanentError.new('no', context: { n: 10**3_000_000, m: 1 })", "Tasker::PermanentError", "no"},
		{"a Rational and a key in the context", "raise Tasker::PermanentError.new('no', context: { 10**3_000_000 => Rational(1, 10**3_000_000) })", "Tasker::PermanentError", "no"},
		{"a context of 300 MB", "raise Tasker::PermanentError.new('no', context: { a: $long, $long => 1, b: [nil] * 100_000 })", "Tasker::PermanentError", "no"},
		{"an error code of many digits", "raise Tasker::PermanentError.new('no', error_code: 10**3_000_000)", "Tasker::PermanentError", "no"},
		{"a wait of many digits", "raise Tasker::RetryableError.new('no', retry_after: 10**3_000_000)", "Tasker::RetryableError", "no"},
		{"many causes with long lines", `
			e = nil
			20.times { begin; raise "m#{_1}" + "\x01" * 70_000, cause: e; rescue => x; x.set_backtrace(["\x01" * 5000] * 600); e = x; end }
			raise e`, "RuntimeError", "m19"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile := processBody(t, c.body)
			honest := besideHonestCalls(t, 4)
			_, err := run(t, hostile)
			var ruby *rubyhost.Error
			require.ErrorAs(t, err, &ruby)
			if c.class != "" {
				require.Equal(t, c.class, ruby.Class)
			}
			require.Contains(t, ruby.Message, c.text)
			require.NotContains(t, ruby.Message, "could not be read")
			require.Less(t, len(ruby.Context), 4<<20)
			honest.requireRight(t)
		})
	}
	requireHealthy(t)
}

// No key is written twice, whatever a Hash compares by, and whoever comes back.
func TestResultKeysComeOnce(t *testing.T) {
	for _, c := range []struct{ name, body, place, text string }{
		{"compared by identity", "h = {}.compare_by_identity; h['k'.dup] = 1; h['k'.dup] = 2; { a: h }", "results.a.k", "same"},
		{"compared by identity, many", "h = {}.compare_by_identity; 3000.times { h[_1.to_s] = 1 }; h['7'.dup] = 2; h", `results["7"]`, "same"},
		{"a subclass that is equal to nothing", "c = Class.new(String) { def eql?(*) = false }; h = {}; h[c.new('k').freeze] = 1; h[c.new('k').freeze] = 2; h", "results.k", "same"},
		{"one name in two encodings", "{ 'é' => 1, 'é'.encode('ISO-8859-1') => 2 }", "results", "same"},
		{"one Symbol in two encodings", "{ 'é'.to_sym => 1, 'é'.encode('ISO-8859-1').to_sym => 2 }", "results", "same"},
		{"US-ASCII and UTF-8, by identity", "h = {}.compare_by_identity; h['k'.dup] = 1; h['k'.dup.force_encoding('US-ASCII')] = 2; h", "results.k", "same"},
		{"a Symbol and a String", "{ a: 1, 'a' => 2 }", "results.a", "same"},
		{"to_s that changes its mind", "n = 0; c = Class.new { define_method(:to_s) { (n += 1) > 2 ? 'k' : n.to_s } }; { c.new => 1, c.new => 2, c.new => 3, c.new => 4 }", "results.k", "same"},
		{"callcc in to_h", "require 'continuation'; n = 0; k = nil; c = Class.new { define_method(:to_h) { callcc { |x| k ||= x }; { x: 1 } } }; d = Class.new { define_method(:to_h) { (n += 1) < 3 ? k.call : { y: 1 } } }; { a: c.new, b: d.new }", "results.a", "Continuation"},
		{"callcc in a key's to_s", "require 'continuation'; n = 0; k = nil; c = Class.new { define_method(:to_s) { callcc { |x| k ||= x }; 'k' } }; d = Class.new { define_method(:to_h) { (n += 1) < 3 ? k.call : { y: 1 } } }; { c.new => d.new }", "results", "Continuation"},
		{"callcc in a Float's to_s", "require 'continuation'; Float.prepend(Module.new { def to_s = self == 8765.25 ? (callcc { |x| $again ||= x }; '1.5') : super }); n = 0; d = Class.new { define_method(:to_h) { (n += 1) < 3 ? $again.call : { y: 1 } } }; { a: 8765.25, b: d.new }", "results.a", "Continuation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile := processBody(t, c.body)
			honest := besideHonestCalls(t, 4)
			_, err := run(t, hostile)
			if c.name == "callcc in a key's to_s" && eval(t, `RUBY_VERSION >= "3.4"`) == "true" { // it sees it itself when the loop is left
				var ruby *rubyhost.Error
				require.ErrorAs(t, err, &ruby)
				require.Equal(t, []string{"RuntimeError", "iteration level underflow"}, []string{ruby.Class, ruby.Message})
			} else {
				requireUnrepresentable(t, err, c.place, c.text)
			}
			honest.requireRight(t)
		})
	}
	eval(t, "$again = nil")
	requireHealthy(t)
}

// A Hash that compares by identity, or changes while it is written, and has each
// key once, is a result.
func TestResultKeysThatAreDistinct(t *testing.T) {
	for _, c := range []struct{ name, ruby, json string }{
		{"compared by identity", "h = {}.compare_by_identity; h['a'.dup] = 1; h['b'.dup] = 2; h", `{"a":1,"b":2}`},
		{"keys of a subclass", "c = Class.new(String); { c.new('a') => 1, c.new('b') => 2 }", `{"a":1,"b":2}`},
		{"Symbols in other encodings", "{ 'é'.encode('ISO-8859-1').to_sym => 1, a: 2 }", `{"é":1,"a":2}`},
		{"a value that deletes a later key", "h = {}; c = Class.new { define_method(:to_h) { h.delete(:c); { x: 1 } } }; h.update(a: c.new, b: 1, c: 2); h", `{"a":{"x":1},"b":1}`},
		{"a value that replaces its Array", "a = []; c = Class.new { define_method(:to_h) { a.replace([9, 8]); { x: 1 } } }; a.push(c.new, 5, 6); a", `[{"x":1},8]`},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.json, eval(t, c.ruby)) })
	}
}

// A Continuation of one step that another step calls ends that step with an error.
// Its own step has ended, and is not ended again.
func TestResultsOfAContinuationOfAnEarlierStep(t *testing.T) {
	keep := processBody(t, "require 'continuation'; Thread.current[:left] = callcc { |k| k }; :kept")
	call := processBody(t, "left = Thread.current[:left]; Thread.current[:left] = nil; left ? left.call(nil) : :none")
	honest := besideHonestCalls(t, 4)
	for range 200 {
		out, err := run(t, keep)
		require.NoError(t, err)
		require.Equal(t, `"kept"`, out)
		out, err = run(t, call)
		if err != nil {
			requireUnrepresentable(t, err, "results", "Continuation")
		} else {
			require.Equal(t, `"none"`, out)
		}
	}
	honest.requireRight(t)
	eval(t, "Thread.list.each { |t| t[:left] = nil }; nil")
	requireHealthy(t)
}

// One that was made while the exception of its step was read: the step that calls
// it fails with that exception.
func TestContinuationOfAnEarlierStepsException(t *testing.T) {
	keep := processBody(t, `require 'continuation'
		raise(Class.new(StandardError) do
			def self.name = "Kept"
			def message = callcc { |k| Thread.current[:left] = k } ? "read" : "again"
		end)`)
	call := processBody(t, "left = Thread.current[:left]; Thread.current[:left] = nil; left ? left.call(nil) : :none")
	honest := besideHonestCalls(t, 4)
	for range 200 {
		_, err := run(t, keep)
		require.ErrorContains(t, err, "read")
		out, err := run(t, call)
		if err == nil {
			require.Equal(t, `"none"`, out)
		} else {
			require.ErrorContains(t, err, "again")
		}
	}
	honest.requireRight(t)
	eval(t, "Thread.list.each { |t| t[:left] = nil }; nil")
	requireHealthy(t)
}

// While the writer pauses, other threads change what it writes.
func TestResultsThatChangeMeanwhile(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"a String", "s = 'é' * 1_000_000; Thread.new { 2000.times { s.replace('x'); s << 'é' * 500_000; Thread.pass } }; [s, s, s]"},
		{"an Array", "a = ['x' * 1000] * 2000; Thread.new { 2000.times { a.clear; a.concat(['y' * 900] * 1500); Thread.pass } }; [a, a, a]"},
		{"a Hash", "h = (1..5000).to_h { [_1.to_s, 'x' * 100] }; Thread.new { 2000.times { |i| begin; h[\"n#{i}\"] = i; h.delete(i.to_s); rescue RuntimeError; end; Thread.pass } }; [h, h, h]"},
		{"a Hash by identity", "h = {}.compare_by_identity; 5000.times { h[_1.to_s] = 'x' * 100 }; Thread.new { 2000.times { |i| begin; h[i.to_s] = i; rescue RuntimeError; end; Thread.pass } }; [h, h, h]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile := processBody(t, c.body)
			honest := besideHonestCalls(t, 4)
			for range effort.Of(2, 5) {
				out, err := run(t, hostile)
				if err != nil {
					requireUnrepresentable(t, err, "results", "")
					continue
				}
				require.True(t, json.Valid([]byte(out)))
				requireNoKeyTwice(t, []byte(out))
			}
			honest.requireRight(t)
		})
	}
	requireHealthy(t)
}

func requireUnrepresentable(t *testing.T, err error, place, text string) {
	t.Helper()
	var ruby *rubyhost.Error
	require.ErrorAs(t, err, &ruby)
	require.Equal(t, "Tasker::UnrepresentableError", ruby.Class, ruby.Message)
	require.Equal(t, "UNREPRESENTABLE_RESULT", ruby.ErrorCode)
	require.True(t, ruby.Permanent)
	require.True(t, strings.HasPrefix(ruby.Message, place), ruby.Message)
	require.Contains(t, ruby.Message, text)
	require.Less(t, len(ruby.Message), 1000)
}

func requireNoKeyTwice(t *testing.T, document []byte) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(document)))
	type level struct {
		keys map[string]bool
		key  bool // the next token is a key
	}
	var levels []*level
	for {
		token, err := d.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, &level{keys: map[string]bool{}, key: true})
			continue
		case json.Delim('['):
			levels = append(levels, &level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		default:
			if len(levels) == 0 {
				return
			}
			if at := levels[len(levels)-1]; at.keys != nil && at.key {
				require.False(t, at.keys[token.(string)], "%q comes twice", token)
				at.keys[token.(string)], at.key = true, false
				continue
			}
		}
		if len(levels) > 0 {
			levels[len(levels)-1].key = true
		}
	}
}

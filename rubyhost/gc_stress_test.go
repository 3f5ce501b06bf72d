package rubyhost_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Under GC.stress each allocation marks the whole heap, which takes 10 ms. So these
// tests have a process of their own, whose heap is small, and define what they need
// before. With newOnly an allocation collects only what is new, in 0.1 ms: an object
// that nothing holds is new, so it finds the same, and what an old object holds without
// a write barrier, too.
const (
	everything = "true"
	newOnly    = "1" // no major collection
)

// A stressed is a process of its own that turns the stress on and off.
type stressed struct {
	*rubyhost.Host
	off *rubyhost.Handler
}

func bootForStress() stressed {
	h := stressed{Host: mustBoot(rubyhost.Options{Threads: 2, Logger: slog.New(slog.DiscardHandler)})}
	h.off = h.handler("StressOff", "GC.stress = false; nil")
	return h
}

// handler defines a handler whose process has this body.
func (h stressed) handler(class, body string) *rubyhost.Handler {
	mustEval(h.Host, fmt.Sprintf("class ::%s < Tasker::StepHandler::Base; def process(task, sequence, step)\n%s\nend; end; nil", class, body))
	handler, err := h.Handler(context.Background(), class)
	must(err)
	return handler
}

// run runs the handler with a bound on its time that only a defect reaches.
func (h stressed) run(handler *rubyhost.Handler) stressedEnd {
	out, err := runFor(handler, 2*time.Minute)
	return endOf(out, err)
}

// stressedEnd is how a call of a child ended.
type stressedEnd struct {
	Out string
	Err *rubyhost.Error
}

func endOf(out string, err error) stressedEnd {
	e := stressedEnd{Out: out}
	if err != nil && !errors.As(err, &e.Err) {
		must(err)
	}
	return e
}

// stressedRounds are those of the whole path: the first one collects everything.
const stressedRounds = 30

const stressedTotal = `{"total":1606938044258990275541962092341162602522202993782792835301376,"order":42,"s":"xxxxxxxxxx"}`

func init() {
	children["the whole path under GC.stress"] = func() {
		h := bootForStress()
		must(h.Serve(context.Background(), "upper", func(_ context.Context, payload []byte) ([]byte, error) { return bytes.ToUpper(payload), nil }))
		handlers := []*rubyhost.Handler{
			h.handler("Right", "{ total: sequence.find_step_by_name('one').results['total'], order: task.context[:order_id], s: 'x' * 10 }"),
			h.handler("Wrong", "raise Tasker::PermanentError.new('no', error_code: 'E', context: { a: [1] })"),
			h.handler("Asks", `puts "asked under stress"; [Tasker::Host.ask("upper", "x"), Fiber.new { Tasker::Host.ask("upper", "y") }.resume, 2**70, :sym, Time.at(0).utc]`),
		}
		for _, handler := range handlers { // what is done once in a process is done
			h.run(handler)
		}
		var ends []stressedEnd
		for i := range stressedRounds {
			if i == 0 || i == 1 {
				mustEval(h.Host, "GC.stress = "+[]string{everything, newOnly}[i]+"; nil")
			}
			for _, handler := range handlers {
				ends = append(ends, h.run(handler))
			}
		}
		h.run(h.off)
		report(ends)
		must(h.Close())
	}
}

// The whole path with a collection at every allocation.
func TestGCStress(t *testing.T) {
	t.Parallel()
	var ends []stressedEnd
	memoryChild(t, "the whole path under GC.stress", &ends)
	require.Len(t, ends, 3*stressedRounds)
	for i := range stressedRounds {
		ends := ends[3*i:][:3]
		require.JSONEq(t, stressedTotal, ends[0].Out)
		require.NotNil(t, ends[1].Err)
		require.Equal(t, []string{"Tasker::PermanentError", "no", "E", `{"a":[1]}`},
			[]string{ends[1].Err.Class, ends[1].Err.Message, ends[1].Err.ErrorCode, string(ends[1].Err.Context)})
		require.Equal(t, `["X","Y",1180591620717411303424,"sym","1970-01-01T00:00:00Z"]`, ends[2].Out)
	}
}

// stressedResults are values whose writing under GC.stress takes the ways of
// json.c, json_text.c and json_hash.c. Each ends as JSON, or as an error with the text.
var stressedResults = []struct{ name, ruby, json, text string }{
	{"a long String", "'é' * 40_000", `"` + strings.Repeat("é", 40_000) + `"`, ""},
	{"a long String of bytes", "('é' * 40_000).b", `"` + strings.Repeat("é", 40_000) + `"`, ""},
	{"a long String in Shift_JIS", "('日' * 40_000).encode('Shift_JIS')", `"` + strings.Repeat("日", 40_000) + `"`, ""},
	{"compared by identity", "h = {}.compare_by_identity; h['a'.dup] = 'x'.dup; h['b'.dup] = [1.5, 2**70]; h", `{"a":"x","b":[1.5,1180591620717411303424]}`, ""},
	{"mixed keys", "{ 'a' => 'x'.dup, b: { 1 => 'y'.dup, 1.5 => 2 }, nil => 3 }", `{"a":"x","b":{"1":"y","1.5":2},"":3}`, ""},
	{"String keys", "{ 'a'.dup => 'x'.dup, 'b'.dup => Class.new { def to_h = { 'q'.dup => 'r'.dup } }.new }", `{"a":"x","b":{"q":"r"}}`, ""},
	{"a Rational and a Complex", "[Rational(2**70, 3), Complex(1, 2**70)]", `["1180591620717411303424/3","1+1180591620717411303424i"]`, ""},
	{"a duplicate", "h = {}.compare_by_identity; h['k'.dup] = 1; h['k'.dup] = 2; h", "", "same"},
	{"too many digits", "n = 10**131_072; [n]", "", "digits"},
	{"too large", "a = ['x' * 40_000_000] * 2; a", "", "67108864 bytes"},
}

func init() {
	children["results under GC.stress"] = func() {
		h := bootForStress()
		ends := map[string][]stressedEnd{}
		for _, c := range stressedResults {
			for _, stress := range []string{newOnly, newOnly, newOnly, everything} {
				out, err := h.Eval(context.Background(), "$value = begin; "+c.ruby+"; end; GC.stress = "+stress+"; $value", "results.rb")
				ends[c.name] = append(ends[c.name], endOf(string(out), err))
				h.run(h.off)
			}
		}
		report(ends)
		must(h.Close())
	}
}

// Results are written as ever while every allocation collects garbage.
func TestResultsUnderGCStress(t *testing.T) {
	t.Parallel()
	var ends map[string][]stressedEnd
	memoryChild(t, "results under GC.stress", &ends)
	for _, c := range stressedResults {
		t.Run(c.name, func(t *testing.T) {
			require.Len(t, ends[c.name], 4)
			for _, end := range ends[c.name] {
				if c.text == "" {
					require.Nil(t, end.Err)
					require.Equal(t, c.json, end.Out)
				} else {
					require.NotNil(t, end.Err)
					requireUnrepresentable(t, end.Err, "results", c.text)
				}
			}
		})
	}
}

func init() {
	children["what is global outside steps"] = func() {
		h := bootForStress()
		sees := h.handler("Sees", "[GC.stress, $stdout.equal?($own)]")
		mustEval(h.Host, `$own, GC.stress = ($stdout = Class.new { def write(*) = nil; def flush = nil }.new), 1; nil`)
		report([]stressedEnd{h.run(sees), h.run(sees)})
		h.run(h.off)
		mustEval(h.Host, "$stdout = Tasker::Host::Leftovers.instance_variable_get(:@outputs)[0]; nil")
		must(h.Health(context.Background()))
		must(h.Close())
	}
}

// What no step has set stays: the program that embeds Ruby wants it so.
func TestConductWhatIsGlobalStaysOutsideSteps(t *testing.T) {
	t.Parallel()
	var ends []stressedEnd
	memoryChild(t, "what is global outside steps", &ends)
	require.Equal(t, []stressedEnd{{Out: "[1,true]"}, {Out: "[1,true]"}}, ends)
}

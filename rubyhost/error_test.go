package rubyhost_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func TestErrorKeepsEverything(t *testing.T) {
	h := handlerClass(t, `
		class Declined < Tasker::RetryableError; end
		def process(task, sequence, step)
			begin
				Integer("five")
			rescue ArgumentError
				raise Declined.new("card declined", retry_after: 2.5, context: { card: "x", attempts: [1, 2**70] })
			end
		end`)
	_, err := run(t, h)
	var ruby *rubyhost.Error
	require.ErrorAs(t, err, &ruby)
	require.Equal(t, h.Class()+"::Declined", ruby.Class)
	require.Equal(t, "card declined", ruby.Message)
	require.Equal(t, h.Class()+"::Declined: card declined", ruby.Error())
	require.Contains(t, ruby.Ancestors, "Tasker::RetryableError")
	require.Contains(t, ruby.Ancestors, "StandardError")
	require.True(t, ruby.IsA("Tasker::ProceduralError"))
	require.True(t, ruby.IsA(ruby.Class))
	require.False(t, ruby.IsA("Tasker::PermanentError"))
	require.False(t, ruby.Permanent)
	require.Equal(t, 2500*time.Millisecond, *ruby.RetryAfter)
	require.JSONEq(t, `{"card":"x","attempts":[1,1180591620717411303424]}`, string(ruby.Context))
	require.Regexp(t, `^handlers/TestHandler\d+\.rb:8:in .*process'`, ruby.Backtrace[0])

	var cause *rubyhost.Error
	require.ErrorAs(t, ruby.Unwrap(), &cause)
	require.Equal(t, "ArgumentError", cause.Class)
	require.Contains(t, cause.Message, `"five"`)
	require.Nil(t, cause.Unwrap())

	long := fmt.Sprintf("%+v", ruby)
	require.Contains(t, long, "caused by ArgumentError")
	require.Contains(t, long, "    from handlers/")
}

func TestErrorPermanent(t *testing.T) {
	_, err := run(t, processBody(t, `raise Tasker::PermanentError.new("gone", error_code: "HTTP_404", context: { url: "/x" })`))
	var ruby *rubyhost.Error
	require.ErrorAs(t, err, &ruby)
	require.True(t, ruby.Permanent)
	require.Equal(t, "HTTP_404", ruby.ErrorCode)
	require.JSONEq(t, `{"url":"/x"}`, string(ruby.Context))
}

// $! of one call must not be there in the next, nor its cause.
func TestErrorDoesNotLeakIntoTheNextCall(t *testing.T) {
	bad := processBody(t, "raise 'first'")
	look := processBody(t, "raise 'seen' if $!; begin; raise 'second'; rescue => e; e.cause.inspect; end")
	for range 50 {
		_, err := run(t, bad)
		require.Error(t, err)
		out, err := run(t, look)
		require.NoError(t, err)
		require.Equal(t, `"nil"`, out)
	}
}

func TestHandlerThatIsNone(t *testing.T) {
	eval(t, `class ::NoProcess; end; module ::NotAClass; end; class ::PrivateProcess; private def process(a, b, c) = nil; end; class ::TwoArguments; def process(a, b) = nil; end; nil`)
	for _, c := range []struct{ class, text string }{
		{"Nowhere::ToBeFound", "Nowhere::ToBeFound"},
		{"NoProcess", "process"},
		{"NotAClass", "class"},
		{"PrivateProcess", "process"},
		{"TwoArguments", "process"},
		{"not a constant", "not a constant"},
		{"", ""},
	} {
		_, err := host.Handler(t.Context(), c.class)
		require.ErrorContains(t, err, c.text, c.class)
	}
	requireHealthy(t)
}

func TestMethod(t *testing.T) {
	eval(t, `module ::Invoice; def self.total(items, tax: nil) = items.sum { |i| i["n"] * i["price"] }; end; nil`)
	total, err := host.Method(t.Context(), "Invoice.total")
	require.NoError(t, err)
	out, err := total.Call(t.Context(), []map[string]int{{"n": 2, "price": 50}, {"n": 1, "price": 7}})
	require.NoError(t, err)
	require.Equal(t, "107", string(out))

	_, err = total.Call(t.Context(), func() {})
	require.ErrorContains(t, err, "argument 1")
	_, err = total.Call(t.Context())
	require.ErrorContains(t, err, "wrong number of arguments")
	_, err = host.Method(t.Context(), "Invoice.nothing")
	require.ErrorContains(t, err, "nothing")
	_, err = host.Method(t.Context(), "NoDot")
	require.ErrorContains(t, err, "Const.method")
}

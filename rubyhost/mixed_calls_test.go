package rubyhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// mixedCalls are bodies that take every way through the bridge's C code, and what
// each must end as: a value, or the class of an error, or an interrupt.
var mixedCalls = []struct{ name, body, value, class string }{
	{name: "nothing", body: "nil", value: "null"},
	{name: "a document", body: `{ order: task.context[:order_id], sum: sequence.get_results("one")["total"] % 7 }`, value: `{"order":42,"sum":4}`},
	{name: "values of all kinds", body: `[1, -2, 2**70, 1.5, "ä\n", :b, nil, true, { "k" => [{}] }, Time.at(0).utc, 1r/3]`,
		value: `[1,-2,1180591620717411303424,1.5,"ä\n","b",null,true,{"k":[{}]},"1970-01-01T00:00:00Z","1/3"]`},
	{name: "a long text", body: `"x" * 100_000 == "x" * 100_000`, value: "true"},
	{name: "a large result", body: `Array.new(3000) { |i| i }.sum { |i| [i].first } && ["y" * 20_000].first.size`, value: "20000"},
	{name: "an error", body: `raise Tasker::PermanentError, "no"`, class: "Tasker::PermanentError"},
	{name: "an error with a cause", body: `begin; Integer("x"); rescue ArgumentError; raise "outer"; end`, class: "RuntimeError"},
	{name: "a value without a form", body: `[Object.new]`, class: "Tasker::UnrepresentableError"},
	{name: "too deep", body: `a = []; a << a; a`, class: "Tasker::UnrepresentableError"},
	{name: "too many digits", body: `10**200_000`, class: "Tasker::UnrepresentableError"},
	{name: "a question", body: `Tasker::Host.ask("echo", "x" * 1000).size`, value: "1000"},
	{name: "a failed question", body: `Tasker::Host.ask("fail", "")`, class: "Tasker::Host::ServiceError"},
	{name: "a log line", body: `puts "x" * 100; :logged`, value: `"logged"`},
	{name: "a thread", body: `Thread.new { 6 * 7 }.value`, value: "42"},
	{name: "a thread that is ended", body: `Thread.new { sleep }; :ok`, value: `"ok"`},
	{name: "a fiber", body: `Fiber.new { Fiber.yield 1; 2 }.then { |f| [f.resume, f.resume] }`, value: "[1,2]"},
	{name: "a kill", body: `Thread.current.kill`, class: "killed"},
	{name: "a sleep that is interrupted", body: `sleep`, class: "interrupted"},
	{name: "a loop that is interrupted", body: `loop {}`, class: "interrupted"},
	{name: "a question that is interrupted", body: `Tasker::Host.ask("slow", "")`, class: "interrupted"},
	{name: "a writer that is interrupted", body: `a = nil; 20.times { a = [a, a] }; loop { a.hash }`, class: "interrupted"},
}

// TestMixedCalls runs them at random. `make test/asan` does so 200,000 times under
// the address sanitizer.
func TestMixedCalls(t *testing.T) {
	calls := 600
	if n, err := strconv.Atoi(os.Getenv("RUBYHOST_MIXED_CALLS")); err == nil {
		calls = n
	}
	require.NoError(t, serveMixed(host))
	handlers := make([]*rubyhost.Handler, len(mixedCalls))
	for i, c := range mixedCalls {
		handlers[i] = processBody(t, c.body)
	}
	var drawn atomic.Uint64
	require.NoError(t, each(8, calls, func() error {
		random := rand.New(rand.NewPCG(20261128, drawn.Add(1)))
		i := random.IntN(len(mixedCalls))
		c := mixedCalls[i]
		limit := time.Minute
		if c.class == "interrupted" {
			limit = time.Duration(random.IntN(4000)) * time.Microsecond
		}
		out, err := runFor(handlers[i], limit)
		if got := endedAs(err); got != c.class {
			return errors.Wrapf(err, "%s ended as %q", c.name, got)
		}
		if c.class == "" && !sameJSON(out, c.value) {
			return errors.Newf("%s returned %.200s", c.name, out)
		}
		return nil
	}))
	requireHealthy(t)
	t.Logf("%d calls: %+v", calls, host.Stats())
}

// serveMixed offers what mixedCalls ask for.
func serveMixed(h *rubyhost.Host) error {
	background := context.Background()
	return errors.Join(
		h.Serve(background, "echo", func(_ context.Context, p []byte) ([]byte, error) { return p, nil }),
		h.Serve(background, "fail", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no") }),
		h.Serve(background, "slow", func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	)
}

// endedAs names the kind of an error as mixedCalls does.
func endedAs(err error) string {
	var ruby *rubyhost.Error
	var interrupted *rubyhost.InterruptedError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &interrupted) && interrupted.Stuck:
		return "stuck"
	case errors.As(err, &interrupted), errors.Is(err, context.DeadlineExceeded):
		return "interrupted"
	case errors.Is(err, rubyhost.ErrThreadKilled):
		return "killed"
	case errors.As(err, &ruby):
		return ruby.Class
	default:
		return err.Error()
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

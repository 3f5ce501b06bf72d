package rubyhost_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func serve(t *testing.T, s rubyhost.Service) string {
	t.Helper()
	name := fmt.Sprintf("test%d", classes.Add(1))
	require.NoError(t, host.Serve(t.Context(), name, s))
	return name
}

func TestServiceAnswers(t *testing.T) {
	name := serve(t, func(_ context.Context, payload []byte) ([]byte, error) { return bytes.ToUpper(payload), nil })
	for where, body := range map[string]string{
		"in the handler":   "%s",
		"in a fiber":       "Fiber.new { %s }.resume",
		"in an enumerator": "Enumerator.new { |y| y << %s }.next",
		"lazily":           "[1].lazy.map { %s }.first",
		"in a thread":      "Thread.new { %s }.value",
		"in Timeout":       "require 'timeout'; Timeout.timeout(10) { %s }",
	} {
		out, err := run(t, processBody(t, fmt.Sprintf(body, `Tasker::Host.ask("`+name+`", "é" * 3)`)))
		require.NoError(t, err, where)
		require.Equal(t, `"`+strings.ToUpper("ééé")+`"`, out, where)
	}
}

func TestServiceErrorsAreRaised(t *testing.T) {
	plain := serve(t, func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no luck") })
	typed := serve(t, func(context.Context, []byte) ([]byte, error) {
		return nil, &rubyhost.Error{Class: "KeyError", Message: "typed"}
	})
	panics := serve(t, func(context.Context, []byte) ([]byte, error) { panic("oops") })
	for _, c := range []struct{ name, class, text string }{
		{plain, "Tasker::Host::ServiceError", "no luck"},
		{typed, "KeyError", "typed"},
		{panics, "Tasker::Host::ServiceError", "panicked: oops"},
		{"nobody", "Tasker::Host::ServiceError", `no service "nobody"`},
	} {
		_, err := run(t, processBody(t, `Tasker::Host.ask("`+c.name+`", "")`))
		var ruby *rubyhost.Error
		require.ErrorAs(t, err, &ruby)
		require.Equal(t, c.class, ruby.Class)
		require.Contains(t, ruby.Message, c.text)
	}
	requireHealthy(t)
}

// However the Ruby side stops waiting, the service's context ends.
func TestServiceIsCancelled(t *testing.T) {
	for name, body := range map[string]string{ // on a busy machine the wait may end before the service is asked
		"Timeout":      "require 'timeout'; Timeout.timeout(0.05) { %s }",
		"Thread#raise": "t = Thread.current; Thread.new { sleep 0.05; t.raise('stop') }; %s",
		"Thread#kill":  "t = Thread.new { %s }; sleep 0.05; t.kill; t.join; raise 'killed'",
	} {
		var asked, told atomic.Int64
		service := serve(t, func(ctx context.Context, _ []byte) ([]byte, error) {
			asked.Add(1)
			<-ctx.Done()
			told.Add(1)
			return nil, ctx.Err()
		})
		h := processBody(t, fmt.Sprintf(body, `Tasker::Host.ask("`+service+`", "")`))
		for tries := 0; asked.Load() == 0; tries++ {
			require.Less(t, tries, 100, name)
			_, err := run(t, h)
			require.Error(t, err, name)
		}
		require.Eventually(t, func() bool { return told.Load() == asked.Load() }, 10*time.Second, time.Millisecond, "%s: the service was not told", name)
	}
	requireHealthy(t)
}

// The context of a service is that of the call on whose behalf it is asked.
func TestServiceSeesTheCallsContext(t *testing.T) {
	type key struct{}
	name := serve(t, func(ctx context.Context, _ []byte) ([]byte, error) { return fmt.Append(nil, ctx.Value(key{})), nil })
	h := processBody(t, `[Tasker::Host.ask("`+name+`", ""), Thread.new { Tasker::Host.ask("`+name+`", "") }.value]`)
	var all sync.WaitGroup
	for i := range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			out, err := h.Run(context.WithValue(context.Background(), key{}, i), aStep())
			if want := fmt.Sprintf(`["%d","%d"]`, i, i); err != nil || string(out) != want {
				t.Errorf("%s %v, wanted %s", out, err, want)
			}
		}()
	}
	all.Wait()
}

// A service may call Ruby again, on another thread.
func TestServiceMayCallRuby(t *testing.T) {
	name := serve(t, func(ctx context.Context, _ []byte) ([]byte, error) { return host.Eval(ctx, "6 * 7", "service.rb") })
	out, err := run(t, processBody(t, `Tasker::Host.ask("`+name+`", "")`))
	require.NoError(t, err)
	require.Equal(t, `"42"`, out)
}

// A Fiber.scheduler of the handler's own does not lose the answer.
func TestServiceUnderAFiberScheduler(t *testing.T) {
	name := serve(t, func(_ context.Context, payload []byte) ([]byte, error) { return payload, nil })
	h := handlerClass(t, `
		class Scheduler
			def block(*) = sleep(0.001)
			def unblock(*) = nil
			def kernel_sleep(*) = nil
			def io_wait(*) = nil
			def close = nil
			def fiber(&block) = Fiber.new(blocking: false, &block).tap(&:resume)
		end
		def process(task, sequence, step)
			Fiber.set_scheduler(Scheduler.new)
			answers = []
			3.times { |i| Fiber.schedule { answers << Tasker::Host.ask("`+name+`", i.to_s) } }
			answers
		end`)
	out, err := run(t, h)
	require.NoError(t, err)
	require.Equal(t, `["0","1","2"]`, out)
	requireHealthy(t)
}

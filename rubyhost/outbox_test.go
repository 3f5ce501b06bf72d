package rubyhost_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// linesByCall keeps the lines of each call. Before it keeps a line it gives other
// goroutines a turn, so that they may overtake it.
type linesByCall struct {
	slog.Handler
	mu    sync.Mutex
	lines map[string][]string
}

func (l *linesByCall) Handle(_ context.Context, r slog.Record) error {
	for range len(r.Message) % 7 {
		runtime.Gosched()
	}
	call := "no call"
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "call" {
			call = a.Value.String()
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[call] = append(l.lines[call], r.Message)
	return nil
}

func (l *linesByCall) of(call string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines[call])
}

func init() {
	children["takers of messages"] = func() {
		const callers, lines, takers = 4, 6, 3
		calls := effort.Of(150, 500)
		logged := &linesByCall{Handler: slog.NewTextHandler(io.Discard, nil), lines: map[string][]string{}}
		h := mustBoot(rubyhost.Options{Threads: 4, Logger: slog.New(logged)})
		var taking, calling sync.WaitGroup
		var over atomic.Bool
		for range takers {
			taking.Go(func() {
				for !over.Load() {
					h.TakeMessages()
					runtime.Gosched()
				}
			})
		}
		var wrong atomic.Int64
		for caller := range callers {
			calling.Go(func() {
				for i := range calls {
					call := fmt.Sprint(caller, "-", i)
					var want []string
					for line := range lines {
						want = append(want, fmt.Sprint(call, " line ", "abcdefg"[:line+1]))
					}
					ctx := rubyhost.WithLogAttrs(context.Background(), slog.String("call", call))
					out, err := h.Eval(ctx, fmt.Sprintf("%d.times { |i| puts '%s line ' + 'abcdefg'[..i] }; %d", lines, call, i), "lines.rb")
					must(err)
					if string(out) != fmt.Sprint(i) || !slices.Equal(logged.of(call), want) {
						wrong.Add(1)
					}
				}
			})
		}
		calling.Wait()
		over.Store(true)
		taking.Wait()
		fmt.Printf("wrong: %d, without a call: %d\n", wrong.Load(), len(logged.of("no call")))
		must(h.Close())
	}
}

// Several goroutines take messages here all the time; in a host a second one does
// so only now and then. Nothing overtakes another message: a call's lines are
// logged in their order, with the call's attributes, before its result is there.
func TestMessagesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "takers of messages")
	require.NoError(t, err, out)
	require.Equal(t, "wrong: 0, without a call: 0\n", out)
}

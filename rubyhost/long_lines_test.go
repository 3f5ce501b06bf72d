package rubyhost_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

const (
	longPattern = "é日本x" // no piece of 64 KB ends where it ends
	longPiece   = 64 << 10
)

// longLines checks the pieces of a long line as they come. The long line comes
// from a call without attributes. It keeps the lines of the other calls.
type longLines struct {
	*linesByCall
	at    atomic.Int64 // how much of the long line has come
	wrong atomic.Int64 // pieces that are too long, or are not what comes next
}

func (l *longLines) Handle(ctx context.Context, r slog.Record) error {
	if r.NumAttrs() > 0 {
		return l.linesByCall.Handle(ctx, r)
	}
	begin := int(l.at.Load()) % len(longPattern)
	want := strings.Repeat(longPattern, len(r.Message)/len(longPattern)+2)[begin:][:len(r.Message)]
	if len(r.Message) > longPiece || r.Message != want {
		l.wrong.Add(1)
	}
	l.at.Add(int64(len(r.Message)))
	return nil
}

// processorTime returns the seconds that the Ruby code takes of its thread's
// processor.
func processorTime(h *rubyhost.Host, code string) float64 {
	out, err := h.Eval(context.Background(), `
		clock = -> { Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID) }
		began = clock.call
		`+code+`
		clock.call - began`, "long.rb")
	must(err)
	seconds, err := strconv.ParseFloat(string(out), 64)
	must(err)
	return seconds
}

func init() {
	children["long lines"] = func() {
		logged := &longLines{linesByCall: &linesByCall{Handler: slog.NewTextHandler(io.Discard, nil), lines: map[string][]string{}}}
		h := mustBoot(rubyhost.Options{Threads: 4, Logger: slog.New(logged)})
		var calls atomic.Int64
		honest := startHonestCalls(2, func() error {
			call := fmt.Sprint(calls.Add(1))
			ctx := rubyhost.WithLogAttrs(context.Background(), slog.String("call", call))
			out, err := h.Eval(ctx, fmt.Sprintf("print 'a '; puts 'line'; warn 'of %s'; %s", call, call), "honest.rb")
			if got := logged.of(call); err == nil && (string(out) != call || !slices.Equal(got, []string{"a line", "of " + call})) {
				err = errors.Newf("its result is %s, and its lines are %q", out, got)
			}
			return err
		})

		took := func(kilobytes int, code string) float64 {
			begun := logged.at.Load()
			times := kilobytes << 10 / len(longPattern)
			took := processorTime(h, fmt.Sprintf(code, longPattern, times)+"; $stdout.flush")
			if got := logged.at.Load() - begun; got != int64(times*len(longPattern)) || logged.wrong.Load() != 0 {
				fmt.Printf("%d KB: %d bytes logged, %d pieces wrong\n", kilobytes, got, logged.wrong.Load())
			}
			return took
		}
		// A line that takes its square takes a hundred times as long, each time. Noise does so
		// now and then.
		inProportion := func(kilobytes int, code string) bool {
			for range 5 {
				small := took(kilobytes, code)
				if took(10*kilobytes, code) < 20*small {
					return true
				}
			}
			return false
		}
		fmt.Println("long line in proportion:", inProportion(effort.Of(4, 10)<<10, "$stdout.print('%s' * %d)"))
		fmt.Println("byte by byte in proportion:", inProportion(20, "('%s' * %d).each_byte { |byte| $stdout.print(byte.chr) }"))

		begun := logged.at.Load()
		ctx := endsWhen(func() bool { return logged.at.Load() > begun })
		_, err := h.Eval(ctx, fmt.Sprintf("line = '%s' * %d; loop { $stdout.print(line) }", longPattern, effort.Of(40, 100)<<20/len(longPattern)), "long.rb")
		var interrupted *rubyhost.InterruptedError
		fmt.Println("interrupted:", errors.As(err, &interrupted) && !interrupted.Stuck)
		ctx = rubyhost.WithLogAttrs(context.Background(), slog.String("call", "after"))
		_, err = h.Eval(ctx, "puts 'nothing before it'", "after.rb")
		must(err)
		fmt.Println("after:", logged.of("after"))

		honest.mustBeRight()
		must(h.Close())
	}
}

// A line of 40 MB takes as long as ten lines of 4 MB. It comes in pieces, in
// order, and no character is cut in two.
func TestLongLines(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "long lines")
	require.NoError(t, err, out)
	require.Equal(t, `long line in proportion: true
byte by byte in proportion: true
interrupted: true
after: [nothing before it]
`, requireHonestCalls(t, out))
}

package rubyhost_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Also of a call so short that its caller is still polling when it ends.
func TestWhatACallLoggedComesBeforeItsResult(t *testing.T) {
	h := processBody(t, `puts "short call #{step.workflow_step_id}"`)
	before := len(logs.lines("short call"))
	for i := range 300 {
		ctx := rubyhost.WithLogAttrs(t.Context(), slog.Int("call", i))
		_, err := h.Run(ctx, aStep())
		require.NoError(t, err)
		lines := logs.lines("short call")
		require.Equal(t, before+i+1, len(lines))
		require.EqualValues(t, i, lines[before+i]["call"])
	}
}

func TestOutputReachesTheLogger(t *testing.T) {
	h := processBody(t, `
		puts "from puts", ["and", "more"]
		print "half"
		print " a line"
		$stdout.write("\n", "écrit\n")
		warn "from warn"
		$stderr.puts "from stderr"
		require "logger"
		Logger.new($stdout).info("from Logger")
		Tasker.logger.error("from Tasker.logger")
		Tasker.logger.debug { "from a block" }
		Thread.new { puts "from a thread" }.join
		puts "\xFF broken"
		print "no newline at the end"`)
	ctx := rubyhost.WithLogAttrs(t.Context(), slog.String("task", "output-test"), slog.Int("attempt", 3))
	_, err := h.Run(ctx, aStep())
	require.NoError(t, err)
	for text, level := range map[string]string{
		"from puts": "INFO", "and": "INFO", "half a line": "INFO", "écrit": "INFO", "from warn": "WARN", "from stderr": "WARN",
		"from Logger": "INFO", "from Tasker.logger": "ERROR", "from a block": "DEBUG", "from a thread": "INFO",
		"no newline at the end": "INFO", "broken": "INFO",
	} {
		require.Eventually(t, func() bool {
			for _, line := range logs.lines(text) {
				if line["task"] == "output-test" && line["attempt"] == 3.0 && line["level"] == level {
					return true
				}
			}
			return false
		}, 10*time.Second, time.Millisecond, text)
	}
}

// stuckHandler does not log until a file is there, or not for half a second.
type stuckHandler struct {
	slog.Handler
	file string
	once *sync.Once
}

func (h stuckHandler) Handle(ctx context.Context, r slog.Record) error {
	h.once.Do(func() {
		for range 500 {
			if _, err := os.Stat(h.file); err == nil {
				fmt.Println("the handler did not wait")
				return
			}
			time.Sleep(time.Millisecond)
		}
		fmt.Println("the handler waits")
	})
	return h.Handler.Handle(ctx, r)
}

func init() {
	children["stuck logger"] = func() {
		file := os.Getenv("TEST_FILE")
		h := mustBoot(rubyhost.Options{Threads: 2, Logger: slog.New(stuckHandler{slog.NewTextHandler(io.Discard, nil), file, new(sync.Once)})})
		_, err := h.Eval(context.Background(), "line = 'x' * 30_000; 200.times { puts line }; File.write(ENV['TEST_FILE'], 'x')", "stuck.rb")
		must(err)
		must(h.Close())
	}
}

// A handler that prints faster than the logger logs has to wait, or its lines
// would fill the memory.
func TestOutputWaitsForTheLogger(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "stuck logger", "TEST_FILE="+filepath.Join(t.TempDir(), "printed"))
	require.NoError(t, err, out)
	require.Equal(t, "the handler waits\n", out)
}

// A serial that a handler has made up belongs to no call.
func TestOutputOfNoCall(t *testing.T) {
	_, err := run(t, processBody(t, `Tasker::Host.log(2**64 - 1, '["info","of no call",null]'); :ok`))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(logs.lines("of no call")) > 0 }, 10*time.Second, time.Millisecond)
	_, err = run(t, processBody(t, `Tasker::Host.request(99_999, 12_345, "x").first`))
	require.NoError(t, err)
	requireHealthy(t)
}

package rubyhost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// One interpreter a process: every test of this package shares it, and each
// test of conduct ends by checking that it still answers.
var host *rubyhost.Host

// logs is what the host has logged.
var logs logBuffer

// children are tests that need a process of their own: the test binary runs
// itself with their name in the environment.
var children = map[string]func(){}

const childVariable = "RUBYHOST_TEST_CHILD"

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		child()
		os.Exit(0)
	}
	threads := 8
	if n, err := strconv.Atoi(os.Getenv("RUBYHOST_BENCH_THREADS")); err == nil {
		threads = n // the tests want eight; the benchmarks are also run with one
	}
	yjit := os.Getenv("RUBYHOST_BENCH_YJIT") != ""
	var err error
	host, err = rubyhost.Boot(rubyhost.Options{
		Threads: threads, YJIT: yjit,
		Grace:  3 * time.Second,
		Logger: slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := host.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close:", err)
		code = 1
	}
	os.Exit(code)
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns the records that contain text.
func (l *logBuffer) lines(text string) []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(l.b.String()) {
		var record map[string]any
		if strings.Contains(line, text) && json.Unmarshal([]byte(line), &record) == nil {
			found = append(found, record)
		}
	}
	return found
}

var classes atomic.Int64

// handlerClass defines a new step-handler class with this body and finds it.
func handlerClass(t testing.TB, body string) *rubyhost.Handler {
	t.Helper()
	name := fmt.Sprintf("TestHandler%d", classes.Add(1))
	_, err := host.Eval(t.Context(), fmt.Sprintf("class ::%s < Tasker::StepHandler::Base\n%s\nend; nil", name, body), "handlers/"+name+".rb")
	require.NoError(t, err)
	h, err := host.Handler(t.Context(), name)
	require.NoError(t, err)
	return h
}

// processBody defines a handler whose process has this body.
func processBody(t testing.TB, body string) *rubyhost.Handler {
	t.Helper()
	return handlerClass(t, "def process(task, sequence, step)\n"+body+"\nend")
}

// aStep is the input of a step that has no dependencies.
func aStep() *rubyhost.Step {
	return &rubyhost.Step{
		Task:    json.RawMessage(`{"task_id":7,"name":"order","namespace_name":"shop","version":"1.0.0","status":"in_progress","tags":["a"],"created_at":"2026-11-23T04:05:06Z"}`),
		Context: json.RawMessage(`{"order_id":42,"items":[{"sku":"A","price":1.5}]}`),
		Step:    json.RawMessage(`{"workflow_step_id":9,"task_id":7,"name":"two","status":"in_progress","attempts":1,"retry_limit":3,"retryable":true,"processed":false,"in_process":true,"inputs":null,"last_attempted_at":null,"backoff_request_seconds":null,"parents":["one"],"children":[],"handler_class":"X"}`),
		Config:  json.RawMessage(`{"url":"http://localhost"}`),
		Steps:   json.RawMessage(`[{"workflow_step_id":8,"task_id":7,"name":"one","status":"complete","attempts":1,"retry_limit":3,"retryable":true,"processed":true,"in_process":false,"parents":[],"children":["two"],"handler_class":"X"},{"workflow_step_id":9,"task_id":7,"name":"two","status":"in_progress","attempts":1,"retry_limit":3,"retryable":true,"processed":false,"in_process":true,"parents":["one"],"children":[],"handler_class":"X"}]`),
		Results: []rubyhost.Result{{Step: "one", JSON: json.RawMessage(`{"total":1606938044258990275541962092341162602522202993782792835301376}`)}},
	}
}

// run runs the handler with a bound on its time that only a defect reaches.
func run(t testing.TB, h *rubyhost.Handler) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := h.Run(ctx, aStep())
	return string(out), err
}

// eval returns the JSON of a Ruby expression.
func eval(t testing.TB, source string) string {
	t.Helper()
	out, err := host.Eval(t.Context(), source, "test.rb")
	require.NoError(t, err)
	return string(out)
}

// requireHealthy fails unless all threads are there and answer.
func requireHealthy(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return host.Stats().Threads == 8 }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, host.Health(ctx))
	out, err := host.Eval(ctx, "6 * 7", "health.rb")
	require.NoError(t, err)
	require.Equal(t, "42", string(out))
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// stepLog prints the lines that handlers print and log, each after the name of
// its step.
type stepLog struct {
	sink  *logSink
	attrs []slog.Attr
}

// logSink receives the lines of a log and of the logs derived from it.
type logSink struct {
	mu    sync.Mutex
	write func(line string)
}

func newStepLog(w io.Writer) *stepLog {
	return &stepLog{sink: &logSink{write: func(line string) { fmt.Fprintln(w, line) }}}
}

func (l *stepLog) redirect(write func(line string)) {
	l.sink.mu.Lock()
	defer l.sink.mu.Unlock()
	l.sink.write = write
}

func (l *stepLog) print(line string) {
	l.sink.mu.Lock()
	defer l.sink.mu.Unlock()
	l.sink.write(line)
}

func (l *stepLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *stepLog) Handle(_ context.Context, r slog.Record) error {
	step, rest, message := "", "", structuredLine(r.Message)
	add := func(a slog.Attr) bool {
		switch a.Key {
		case "step":
			step = a.Value.String()
		case "task", "attempt", "class":
		case "from": // a child, which may be any program
			message = printable(r.Message)
		case "error":
			rest += ": " + strings.Join(strings.Fields(a.Value.String()), " ")
		default:
			rest += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	where := step
	if where != "" {
		where += " | "
	}
	level := ""
	if r.Level >= slog.LevelError {
		level = strings.ToLower(r.Level.String()) + ": "
	}
	l.print(where + level + message + rest)
	return nil
}

func (l *stepLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &stepLog{sink: l.sink, attrs: append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)}
}

func (l *stepLog) WithGroup(string) slog.Handler { return l }

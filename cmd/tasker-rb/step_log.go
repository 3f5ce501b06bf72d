package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
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
	tasks bool // name the task of each line
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
	step, task, rest := "", "", ""
	add := func(a slog.Attr) bool {
		switch a.Key {
		case "step":
			step = a.Value.String()
		case "task":
			if l.sink.tasks {
				task = "task " + a.Value.String()
			}
		case "attempt":
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
	where := strings.TrimSpace(task + " " + step)
	if where != "" {
		where += " | "
	}
	level := ""
	if r.Level >= slog.LevelError {
		level = strings.ToLower(r.Level.String()) + ": "
	}
	l.print(where + level + structuredLine(r.Message) + rest)
	return nil
}

func (l *stepLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &stepLog{sink: l.sink, attrs: append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)}
}

func (l *stepLog) WithGroup(string) slog.Handler { return l }

// structuredLine turns the JSON that log_structured writes into the message and
// its facts as key=value, in their order. Any other line is returned unchanged.
func structuredLine(line string) string {
	if !strings.HasPrefix(line, `{"message":`) {
		return line
	}
	decoder := json.NewDecoder(strings.NewReader(line))
	if _, err := decoder.Token(); err != nil {
		return line
	}
	message, facts := "", ""
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return line
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return line
		}
		switch key {
		case "message":
			message = unquoted(value)
		case "component": // the step's name says it
		default:
			facts += fmt.Sprintf(" %s=%s", key, factText(value))
		}
	}
	return message + facts
}

func unquoted(value json.RawMessage) string {
	var text *string
	if json.Unmarshal(value, &text) != nil || text == nil {
		return string(value)
	}
	return *text
}

// factText returns the text of a fact. It keeps the quotes if the end of the text
// would not be clear without them.
func factText(value json.RawMessage) string {
	text := unquoted(value)
	if bytes.HasPrefix(value, []byte(`"`)) && (text == "" || strings.ContainsAny(text, " \"=\n") || strconv.Quote(text) != `"`+text+`"`) {
		return string(value)
	}
	return text
}

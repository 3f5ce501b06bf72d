package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/mattn/go-isatty"
)

// newWorkerLog returns the log of a worker, in the format json or text. On a terminal the
// text has what a person looks for first.
func newWorkerLog(w io.Writer, format string) slog.Handler {
	if format == "json" {
		return jsonLog{slog.NewJSONHandler(escaping{w}, nil)}
	}
	file, isFile := w.(*os.File)
	return &textLog{out: &lockedWriter{w: w}, person: isFile && isatty.IsTerminal(file.Fd())}
}

// jsonLog takes the lines of log_structured apart. Their facts are a group of their own, so
// that none hides an attribute of the worker's.
type jsonLog struct{ slog.Handler }

func (l jsonLog) Handle(ctx context.Context, r slog.Record) error {
	message, facts := structured(r.Message)
	if facts == nil {
		r.Message = message
		return l.Handler.Handle(ctx, r)
	}
	group := make([]any, len(facts))
	for i, f := range facts {
		group[i] = slog.Any(f.key, f.value)
	}
	taken := slog.NewRecord(r.Time, r.Level, message, r.PC)
	r.Attrs(func(a slog.Attr) bool { taken.AddAttrs(a); return true })
	taken.AddAttrs(slog.Group("facts", group...))
	return l.Handler.Handle(ctx, taken)
}

// escaping escapes, in JSON, the control characters that JSON allows: some terminals obey
// them.
type escaping struct{ w io.Writer }

func (e escaping) Write(line []byte) (int, error) {
	if i := bytes.IndexFunc(line, oddInJSON); i >= 0 {
		var b bytes.Buffer
		for _, r := range string(line) {
			if oddInJSON(r) {
				fmt.Fprintf(&b, `\u%04x`, r)
			} else {
				b.WriteRune(r)
			}
		}
		_, err := e.w.Write(b.Bytes())
		return len(line), err
	}
	return e.w.Write(line)
}

func oddInJSON(r rune) bool { return r != '\n' && unicode.IsControl(r) }

// lockedWriter lets several logs write whole lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(line)
}

// textLog prints a line for each record: the time, the level, what it is about as
// key=value, and after a bar the message. For a person it leaves out what is usual.
type textLog struct {
	out    io.Writer
	person bool
	attrs  []slog.Attr
}

// aboutKeys are the attributes that say what a line is about, in their order.
var aboutKeys = []string{"task", "step", "attempt", "class"}

func (l *textLog) Handle(_ context.Context, r slog.Record) error {
	about, text := map[string]string{}, inLine(structuredLine(r.Message))
	add := func(a slog.Attr) bool {
		switch value := logValue(a.Value); a.Key {
		case "task", "step", "attempt", "class":
			about[a.Key] = value
		case "error":
			text += ": " + inLine(strings.Join(strings.Fields(value), " "))
		default:
			text += " " + a.Key + "=" + quotedIfUnclear(value)
		}
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	_, err := io.WriteString(l.out, l.head(r, about)+text+"\n")
	return err
}

// head is the line up to the message.
func (l *textLog) head(r slog.Record, about map[string]string) string {
	if l.person {
		head := r.Time.Local().Format("15:04:05.000 ")
		if r.Level >= slog.LevelWarn {
			head += strings.ToLower(r.Level.String()) + ": "
		}
		if about["task"] != "" {
			head += strings.TrimSpace("task "+about["task"]+" "+inLine(about["step"])) + " | "
		}
		return head
	}
	head := fmt.Sprintf("%s %-5s ", r.Time.Local().Format("2006-01-02T15:04:05.000Z07:00"), r.Level)
	if len(about) == 0 {
		return head
	}
	for _, key := range aboutKeys {
		if value, known := about[key]; known {
			head += key + "=" + quotedIfUnclear(value) + " "
		}
	}
	return head + "| "
}

func (l *textLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *textLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *l
	more.attrs = append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)
	return &more
}

func (l *textLog) WithGroup(string) slog.Handler { return l }

func logValue(v slog.Value) string {
	if v = v.Resolve(); v.Kind() == slog.KindTime {
		return v.Time().Format(time.RFC3339Nano)
	}
	return v.String()
}

func quotedIfUnclear(text string) string {
	if unclear(text) {
		return strconv.Quote(text)
	}
	return text
}

// inLine escapes what would end the line or reach the terminal.
func inLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(printable(text))
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
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
var aboutKeys = [...]string{"task", "step", "attempt", "class"}

// about are the values of aboutKeys; nil for those that a record has not.
type about [len(aboutKeys)]*slog.Value

// Handle is called for each step, on the goroutine of its task.
func (l *textLog) Handle(_ context.Context, r slog.Record) error {
	var of about
	var failure string
	rest := make([]byte, 0, 128)
	add := func(a slog.Attr) bool {
		if i := slices.Index(aboutKeys[:], a.Key); i >= 0 {
			of[i] = &a.Value
			return true
		}
		value := logValue(a.Value)
		if a.Key == "error" {
			failure = ": " + inLine(strings.Join(strings.Fields(value), " "))
			return true
		}
		rest = append(append(append(append(rest, ' '), a.Key...), '='), quotedIfUnclear(value)...)
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	line := l.appendHead(make([]byte, 0, 256), r, &of)
	line = append(append(append(line, inLine(structuredLine(r.Message))...), failure...), rest...)
	_, err := l.out.Write(append(line, '\n'))
	return err
}

// appendHead appends the line up to the message.
func (l *textLog) appendHead(line []byte, r slog.Record, of *about) []byte {
	if l.person {
		return l.appendShortHead(line, r, of)
	}
	line = r.Time.Local().AppendFormat(line, "2006-01-02T15:04:05.000Z07:00 ")
	level := r.Level.String()
	line = append(append(line, level...), "      "[min(len(level), 5):]...)
	if *of == (about{}) {
		return line
	}
	for i, key := range aboutKeys {
		if of[i] != nil {
			line = append(append(append(append(line, key...), '='), quotedIfUnclear(logValue(*of[i]))...), ' ')
		}
	}
	return append(line, "| "...)
}

// appendShortHead appends what a person looks for first.
func (l *textLog) appendShortHead(line []byte, r slog.Record, of *about) []byte {
	line = r.Time.Local().AppendFormat(line, "15:04:05.000 ")
	if r.Level >= slog.LevelWarn {
		line = append(append(line, strings.ToLower(r.Level.String())...), ": "...)
	}
	if task, step := of[0], of[1]; task != nil {
		line = append(append(line, "task "...), logValue(*task)...)
		if step != nil {
			line = append(append(line, ' '), inLine(logValue(*step))...)
		}
		line = append(line, " | "...)
	}
	return line
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
	if !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(printable(text))
}

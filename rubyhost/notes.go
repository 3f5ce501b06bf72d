package rubyhost

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
)

// noteCount counts the notes that Go has dealt with.
type noteCount struct {
	mu   sync.Mutex
	more sync.Cond // L is mu
	n    atomic.Uint64
}

// awaitNotes waits until Go has dealt with every note posted so far. A call's log
// lines thus come before its result, with its attributes. It relies on the order
// of the outbox: no later note is counted before an earlier one.
func (h *Host) awaitNotes() {
	posted := notesPosted()
	if h.notes.n.Load() >= posted {
		return
	}
	h.notes.mu.Lock()
	defer h.notes.mu.Unlock()
	for h.notes.n.Load() < posted {
		h.notes.more.Wait()
	}
}

// noted deals with a note: Ruby has sent it and does not wait for an answer.
func (h *Host) noted(topic uint32, serial uint64, text []byte) {
	defer func() {
		h.notes.mu.Lock()
		defer h.notes.mu.Unlock()
		h.notes.n.Add(1)
		h.notes.more.Broadcast()
	}()
	switch topic {
	case noteLog:
		h.logLine(h.contextOf(serial), text)
	case notePong:
		if waiter, ok := h.pings.LoadAndDelete(serial); ok {
			close(waiter.(chan struct{}))
		}
	case noteWaited:
		h.children.Load().logUntil(text)
	case noteStopped:
		close(h.stopped)
	case noteStuck:
		if waiter, ok := h.stuck.LoadAndDelete(serial); ok {
			waiter.(chan []string) <- splitLines(text)
		}
	case noteStray:
		h.log.Warn("an exception reached Ruby's main thread and was dropped", "exception", string(text))
	}
}

type logAttrsKey struct{}

// WithLogAttrs returns a context whose calls log with these attributes added:
// the task, the step and the attempt, for instance.
func WithLogAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	before, _ := ctx.Value(logAttrsKey{}).([]slog.Attr)
	return context.WithValue(ctx, logAttrsKey{}, append(before[:len(before):len(before)], attrs...))
}

// logLine logs [level, message, {fields}] as host.rb sends it.
func (h *Host) logLine(ctx context.Context, text []byte) {
	var line struct {
		Level   string
		Message string
		Fields  map[string]any
	}
	if err := json.Unmarshal(text, &[]any{&line.Level, &line.Message, &line.Fields}); err != nil {
		line.Level, line.Message = "warn", string(text)
	}
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(line.Level)); err != nil {
		level = slog.LevelInfo
	}
	attrs, _ := ctx.Value(logAttrsKey{}).([]slog.Attr)
	attrs = attrs[:len(attrs):len(attrs)]
	for k, v := range line.Fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	h.log.LogAttrs(ctx, level, line.Message, attrs...)
}

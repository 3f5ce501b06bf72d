package main

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"
)

// repeatAfter is how long a worker does not repeat a problem that it has printed.
const repeatAfter = time.Minute

// forgetAfter is how long a problem is remembered. Some have a new text each time.
const forgetAfter = 10 * repeatAfter

// engineLog prints what the engine of a worker logs. It shows an error with its cause
// and its remedy, on one line. While the engine tries something again and again, it
// prints the problem once a minute.
type engineLog struct {
	slog.Handler
	now func() time.Time

	mu   sync.Mutex
	said map[string]*repetition
}

// repetition counts what was not printed since the last time.
type repetition struct {
	at     time.Time
	silent int
}

func newEngineLog(lines slog.Handler) *engineLog {
	return &engineLog{Handler: lines, now: time.Now, said: map[string]*repetition{}}
}

// triesAgain is in the message of every problem that the engine goes on with.
const triesAgain = "trying again"

func (l *engineLog) Handle(ctx context.Context, r slog.Record) error {
	shown := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	key, again := r.Message, strings.Contains(r.Message, triesAgain)
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && a.Key == "error" {
			key += lastCause(err).Error()
			hint, explanation := explained(err)
			a = slog.String("error", strings.TrimSuffix(explanation.Error()+". "+strings.TrimSpace(hint), ". "))
		}
		shown.AddAttrs(a)
		return true
	})
	if again {
		silent, print := l.repeat(key)
		if !print {
			return nil
		}
		if silent > 0 {
			shown.AddAttrs(slog.Int("times", silent+1))
		}
	}
	return l.Handler.Handle(ctx, shown)
}

// repeat reports whether a problem is to be printed, and how often it was not.
func (l *engineLog) repeat(problem string) (silent int, print bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, last := l.now(), l.said[problem]
	if last != nil && now.Sub(last.at) < repeatAfter {
		last.silent++
		return 0, false
	}
	if last != nil {
		silent = last.silent
	}
	maps.DeleteFunc(l.said, func(_ string, r *repetition) bool { return now.Sub(r.at) > forgetAfter })
	l.said[problem] = &repetition{at: now}
	return silent, true
}

package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// repeatAfter is how long a worker does not repeat a problem that it has printed.
const repeatAfter = time.Minute

// forgetAfter is how long a problem is remembered. Some have a new text each time.
const forgetAfter = 10 * repeatAfter

// mostAlike is how many failures with the same error are printed one by one, until repeatAfter
// has passed. A person who retries a task sees each of them; thousands would hide the rest.
const mostAlike = 20

// mostProblems is how many problems are remembered. Beyond it, those of one kind count as
// one, whatever their text.
const mostProblems = 1000

// problemLog prints what the engine of a worker logs, and what its handlers log. It shows an
// error with its cause and its remedy, on one line. A problem that comes again and again is
// printed once, and then once a minute with a count. So are failures of steps and tasks,
// after the first mostAlike.
type problemLog struct {
	slog.Handler
	now func() time.Time

	mu   sync.Mutex
	said map[string]*repetition
}

// repetition counts what was not printed since the last time.
type repetition struct {
	at     time.Time
	lines  int // printed since then
	silent int
	last   slog.Record // of those that were not printed
}

func newProblemLog(lines slog.Handler) *problemLog {
	return &problemLog{Handler: lines, now: time.Now, said: map[string]*repetition{}}
}

// triesAgain is in the message of every problem that the engine goes on with.
const triesAgain = "trying again"

func (l *problemLog) Handle(ctx context.Context, r slog.Record) error {
	shown := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	key := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && a.Key == "error" {
			key += lastCause(err).Error()
			hint, explanation := explained(err)
			a = slog.String("error", strings.TrimSuffix(plain(explanation.Error())+". "+hintLine(withoutPrivate(hint)), ". "))
		}
		shown.AddAttrs(a)
		return true
	})
	if strings.Contains(r.Message, triesAgain) {
		return l.often(ctx, shown, key, r.Message, 1)
	}
	return l.Handler.Handle(ctx, shown)
}

// often prints a record that may come often. Those with the same key are the same problem;
// most of them are printed until repeatAfter has passed.
func (l *problemLog) often(ctx context.Context, r slog.Record, key, kind string, most int) error {
	l.mu.Lock()
	now := l.now()
	if l.said[key] == nil && len(l.said) >= mostProblems {
		maps.DeleteFunc(l.said, func(_ string, p *repetition) bool { return p.silent == 0 && now.Sub(p.at) > forgetAfter })
		if len(l.said) >= mostProblems {
			key = kind
		}
	}
	p := l.said[key]
	switch {
	case p == nil || now.Sub(p.at) >= repeatAfter:
		if p != nil && p.silent > 0 {
			r.AddAttrs(slog.Int("times", p.silent+1))
		}
		l.said[key] = &repetition{at: now, lines: 1}
	case p.lines < most:
		p.lines++
	default:
		p.silent++
		p.last = r
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	return l.Handler.Handle(ctx, r)
}

// flush prints the problems that came again and were not printed for a minute; at the end,
// all of them. The time of such a line is that of its printing: the lines of a log are in
// their order.
func (l *problemLog) flush(end bool) {
	l.mu.Lock()
	now := l.now()
	var due []slog.Record // with their own times
	for _, p := range l.said {
		if p.silent == 0 || !end && now.Sub(p.at) < repeatAfter {
			continue
		}
		r := p.last.Clone()
		r.AddAttrs(slog.Int("times", p.silent))
		due = append(due, r)
		*p = repetition{at: now, lines: 1}
	}
	l.mu.Unlock()
	slices.SortFunc(due, func(a, b slog.Record) int { return a.Time.Compare(b.Time) })
	for _, r := range due {
		r.Time = now.Local()
		_ = l.Handler.Handle(context.Background(), r)
	}
}

// flushOften flushes again and again. stop flushes the rest.
func (l *problemLog) flushOften() (stop func()) {
	tick, over, ended := time.NewTicker(repeatAfter/6), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.flush(false)
			case <-over:
				l.flush(true)
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}
